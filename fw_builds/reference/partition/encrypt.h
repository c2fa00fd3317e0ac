/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An encrypted result: a COSE_Encrypt0 (RFC 9052, A128GCM) around the signed one.
 */
#ifndef ENCRYPT_H
#define ENCRYPT_H

#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"

/* Bytes that the message has beside what it encrypts: at most. */
#define ENCRYPT_OVERHEAD 48u

/*
 * Encrypt signed_result[0..len) into out[0..size). The AEAD's nonce is the result's counter, which never comes twice;
 * the request's nonce is external data.
 *
 * PSA_ERROR_BUFFER_TOO_SMALL, or what PSA Crypto returns.
 */
psa_status_t encrypt_result(const uint8_t *signed_result, size_t len, uint64_t counter, const uint8_t *request_nonce,
			    size_t request_nonce_len, uint8_t *out, size_t size, size_t *out_len);

#endif
