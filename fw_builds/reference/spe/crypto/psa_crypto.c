/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Crypto for the partitions.
 */
#include "psa/crypto.h"

#include <stdbool.h>
#include <string.h>

#include "aead.h"
#include "bearssl_hash.h"
#include "bearssl_rand.h"
#include "builtin_keys.h"
#include "device.h"
#include "fih.h"
#include "sha256.h"
#include "spm.h"

#define HASH_OPERATION_ACTIVE 0x48415348u /* "HASH": not an accident of uninitialised memory */

_Static_assert(sizeof(br_sha256_context) <= sizeof(((psa_hash_operation_t *)0)->context), "hash context");

psa_status_t psa_crypto_init(void)
{
	return PSA_SUCCESS;
}

static psa_status_t check_hash(psa_algorithm_t alg, size_t hash_size)
{
	if (alg != PSA_ALG_SHA_256) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	return hash_size < SHA256_SIZE ? PSA_ERROR_BUFFER_TOO_SMALL : PSA_SUCCESS;
}

psa_status_t psa_hash_compute(psa_algorithm_t alg, const uint8_t *input, size_t input_length, uint8_t *hash,
			      size_t hash_size, size_t *hash_length)
{
	const psa_status_t status = check_hash(alg, hash_size);

	if (status == PSA_SUCCESS) {
		sha256(input, input_length, hash);
		*hash_length = SHA256_SIZE;
	}
	return status;
}

static br_sha256_context *context_of(psa_hash_operation_t *operation)
{
	return (br_sha256_context *)(void *)operation->context;
}

psa_status_t psa_hash_setup(psa_hash_operation_t *operation, psa_algorithm_t alg)
{
	if (operation->active != 0) {
		return PSA_ERROR_BAD_STATE;
	}
	if (alg != PSA_ALG_SHA_256) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	br_sha256_init(context_of(operation));
	operation->active = HASH_OPERATION_ACTIVE;
	return PSA_SUCCESS;
}

psa_status_t psa_hash_update(psa_hash_operation_t *operation, const uint8_t *input, size_t input_length)
{
	if (operation->active != HASH_OPERATION_ACTIVE) {
		return PSA_ERROR_BAD_STATE;
	}
	br_sha256_update(context_of(operation), input, input_length);
	return PSA_SUCCESS;
}

psa_status_t psa_hash_finish(psa_hash_operation_t *operation, uint8_t *hash, size_t hash_size, size_t *hash_length)
{
	if (operation->active != HASH_OPERATION_ACTIVE) {
		return PSA_ERROR_BAD_STATE;
	}
	const psa_status_t status = check_hash(PSA_ALG_SHA_256, hash_size);

	if (status == PSA_SUCCESS) {
		br_sha256_out(context_of(operation), hash);
		*hash_length = SHA256_SIZE;
	}
	(void)psa_hash_abort(operation);
	return status;
}

psa_status_t psa_hash_abort(psa_hash_operation_t *operation)
{
	memset(operation, 0, sizeof *operation);
	return PSA_SUCCESS;
}

psa_status_t psa_sign_hash(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *hash, size_t hash_length,
			   uint8_t *signature, size_t signature_size, size_t *signature_length)
{
	if (alg != PSA_ALG_DETERMINISTIC_ECDSA(PSA_ALG_SHA_256)) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	if (hash_length != SHA256_SIZE) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (signature_size < PSA_SIGNATURE_MAX_SIZE) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	const psa_status_t status = builtin_sign(key, spm_current_partition(), hash, signature);

	if (status == PSA_SUCCESS) {
		*signature_length = PSA_SIGNATURE_MAX_SIZE;
	}
	return status;
}

psa_status_t psa_sign_message(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *input, size_t input_length,
			      uint8_t *signature, size_t signature_size, size_t *signature_length)
{
	uint8_t hash[SHA256_SIZE];

	sha256(input, input_length, hash);
	return psa_sign_hash(key, alg, hash, sizeof hash, signature, signature_size, signature_length);
}

psa_status_t psa_export_public_key(psa_key_id_t key, uint8_t *data, size_t data_size, size_t *data_length)
{
	const uint8_t *point;

	if (data_size < PSA_EXPORT_PUBLIC_KEY_MAX_SIZE) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	const psa_status_t status = builtin_public_key(key, &point);

	if (status == PSA_SUCCESS) {
		memcpy(data, point, PSA_EXPORT_PUBLIC_KEY_MAX_SIZE);
		*data_length = PSA_EXPORT_PUBLIC_KEY_MAX_SIZE;
	}
	return status;
}

static psa_status_t aead_key(psa_key_id_t id, psa_algorithm_t alg, size_t nonce_length, const uint8_t **key)
{
	if (alg != PSA_ALG_GCM) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	if (nonce_length != AEAD_NONCE_SIZE) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	return builtin_aes_key(id, spm_current_partition(), key);
}

psa_status_t psa_aead_encrypt(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *nonce, size_t nonce_length,
			      const uint8_t *additional_data, size_t additional_data_length, const uint8_t *plaintext,
			      size_t plaintext_length, uint8_t *ciphertext, size_t ciphertext_size,
			      size_t *ciphertext_length)
{
	const uint8_t *bytes;
	const psa_status_t status = aead_key(key, alg, nonce_length, &bytes);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (ciphertext_size < AEAD_TAG_SIZE || ciphertext_size - AEAD_TAG_SIZE < plaintext_length) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	memmove(ciphertext, plaintext, plaintext_length);
	aead_encrypt(bytes, nonce, additional_data, additional_data_length, ciphertext, plaintext_length,
		     ciphertext + plaintext_length);
	*ciphertext_length = plaintext_length + AEAD_TAG_SIZE;
	return PSA_SUCCESS;
}

DECISION psa_status_t psa_aead_decrypt(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *nonce, size_t nonce_length,
				       const uint8_t *additional_data, size_t additional_data_length,
				       const uint8_t *ciphertext, size_t ciphertext_length, uint8_t *plaintext,
				       size_t plaintext_size, size_t *plaintext_length)
{
	const uint8_t *bytes;
	uint8_t tag[AEAD_TAG_SIZE];
	const psa_status_t status = aead_key(key, alg, nonce_length, &bytes);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (ciphertext_length < sizeof tag) {
		return PSA_ERROR_INVALID_SIGNATURE;
	}
	const size_t len = ciphertext_length - sizeof tag;

	if (plaintext_size < len) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	memcpy(tag, ciphertext + len, sizeof tag);
	memmove(plaintext, ciphertext, len);
	volatile bool authentic =
		aead_decrypt(bytes, nonce, additional_data, additional_data_length, plaintext, len, tag);

	if (!authentic) {
		return PSA_ERROR_INVALID_SIGNATURE;
	}
	FIH_REQUIRE(fih_of(authentic));
	*plaintext_length = len;
	return PSA_SUCCESS;
}

psa_status_t psa_generate_random(uint8_t *output, size_t output_size)
{
	static br_hmac_drbg_context generator;
	static bool seeded;

	if (!device()->has_entropy) {
		return PSA_ERROR_INSUFFICIENT_ENTROPY;
	}
	if (!seeded) {
		br_hmac_drbg_init(&generator, &br_sha256_vtable, device()->random_seed, sizeof device()->random_seed);
		seeded = true;
	}
	br_hmac_drbg_generate(&generator, output, output_size);
	return PSA_SUCCESS;
}
