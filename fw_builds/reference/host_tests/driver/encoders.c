/* SPDX-License-Identifier: Apache-2.0 */
/* The encoders as Python calls them: hashing and signing come back to Python. */
#include <string.h>

#include "csr.h"
#include "result.h"

psa_status_t encode_result(result_hasher *hasher, result_signer *signer, const uint8_t *nonce, size_t nonce_len,
			   const int8_t *output, size_t output_len, uint64_t counter, uint8_t *out, size_t size,
			   size_t *len);

psa_status_t encode_result(result_hasher *hasher, result_signer *signer, const uint8_t *nonce, size_t nonce_len,
			   const int8_t *output, size_t output_len, uint64_t counter, uint8_t *out, size_t size,
			   size_t *len)
{
	struct result_claims claims = {
		.nonce = nonce,
		.nonce_len = nonce_len,
		.source = 1,
		.output = { output, output_len, { 1, (int32_t)output_len }, 2, 0.00390625f, -128 },
		.counter = counter,
		.start_ticks = UINT64_C(1) << 33,
		.end_ticks = (UINT64_C(1) << 33) + 1000,
		.counter_hz = 32000000,
	};

	memset(claims.instance_id, 1, sizeof(claims.instance_id));
	memset(claims.boot_seed, 2, sizeof(claims.boot_seed));
	memset(claims.model_id, 3, sizeof(claims.model_id));
	memset(claims.input_digest, 4, sizeof(claims.input_digest));
	return result_sign(&claims, hasher, signer, out, size, len);
}
