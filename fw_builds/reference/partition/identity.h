/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's keys as the inference service shows and uses them. The private keys stay in the crypto service.
 */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "csr.h"
#include "result.h"

#define IDENTITY_UUID_TEXT_SIZE 37u /* 8-4-4-4-12 and NUL */

/* `key` is one of TFM_INFERENCE_KEY_*; another gives PSA_ERROR_INVALID_ARGUMENT. */

/* COSE_Key {1: 2, -1: 1, -2: x, -3: y} (RFC 9053, section 7.1.1). */
psa_status_t identity_cose_key(uint32_t key, uint8_t *out, size_t size, size_t *len);

/* PKCS#10 request with CN = the device's UUID, for the result and client keys; at the end of buf, see csr_make(). */
psa_status_t identity_csr(uint32_t key, uint8_t *buf, size_t size, const uint8_t **csr, size_t *len);

/* 0x01 || SHA-256(COSE_Key of the IAK) (RFC 9783, section 4.2.1, type RAND). */
psa_status_t identity_instance_id(uint8_t id[RESULT_INSTANCE_ID_SIZE]);

/* ES256 with the result key. */
psa_status_t identity_sign_result(const uint8_t hash[RESULT_HASH_SIZE], uint8_t signature[RESULT_SIGNATURE_SIZE]);

psa_status_t identity_hash(const uint8_t *data, size_t len, uint8_t hash[RESULT_HASH_SIZE]);

#endif
