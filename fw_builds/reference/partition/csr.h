/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#10 certification requests (RFC 2986) for P-256 keys, signed with ecdsa-with-SHA256 (RFC 5758).
 */
#ifndef CSR_H
#define CSR_H

#include <stddef.h>
#include <stdint.h>

#include "result.h"

#define CSR_POINT_SIZE 65u /* 04 || x || y (SEC 1, section 2.3.3) */

/*
 * The request with subject CN = `common_name`, no attributes, for the key of the public `point` that `signer` signs with.
 * It is built at the end of buf[0..size): `*csr` points to its `*len` bytes. Returns PSA_ERROR_BUFFER_TOO_SMALL when it
 * does not fit, or what the hasher or signer returns.
 */
psa_status_t csr_make(const char *common_name, const uint8_t point[CSR_POINT_SIZE], result_hasher *hasher,
		      result_signer *signer, uint8_t *buf, size_t size, const uint8_t **csr, size_t *len);

#endif
