/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signed result: a COSE_Sign1 (RFC 9052, ES256) over a claims map; labels in docs/protocol.md.
 */
#ifndef RESULT_H
#define RESULT_H

#include <stddef.h>
#include <stdint.h>

#include "psa/crypto.h"
#include "psa/error.h"

#define RESULT_HASH_SIZE 32u
#define RESULT_INSTANCE_ID_SIZE 33u
#define RESULT_SIGNATURE_SIZE 64u
#define RESULT_MAX_RANK 4u
#define RESULT_MAX_OUTPUT 2048u

struct result_tensor {
	const int8_t *data;
	size_t len;
	int32_t shape[RESULT_MAX_RANK];
	uint32_t rank;
	float scale;
	int32_t zero_point;
};

struct result_claims {
	const uint8_t *nonce;
	size_t nonce_len;
	uint8_t instance_id[RESULT_INSTANCE_ID_SIZE];
	uint8_t boot_seed[RESULT_HASH_SIZE];
	uint8_t model_id[RESULT_HASH_SIZE];
	uint32_t source;
	uint8_t input_digest[RESULT_HASH_SIZE];
	struct result_tensor output;
	uint64_t counter;
	uint64_t start_ticks;
	uint64_t end_ticks;
	uint32_t counter_hz;
};

/* Signs SHA-256 `hash`; ES256's raw r || s. */
typedef psa_status_t result_signer(const uint8_t hash[RESULT_HASH_SIZE], uint8_t signature[RESULT_SIGNATURE_SIZE]);

/* Hashes data[0..len) with SHA-256. */
typedef psa_status_t result_hasher(const uint8_t *data, size_t len, uint8_t hash[RESULT_HASH_SIZE]);

/*
 * Encode and sign. Returns PSA_ERROR_BUFFER_TOO_SMALL when `size` bytes do not hold the message, or what the hasher or
 * signer returns.
 */
psa_status_t result_sign(const struct result_claims *claims, result_hasher *hasher, result_signer *signer, uint8_t *out,
			 size_t size, size_t *len);

#endif
