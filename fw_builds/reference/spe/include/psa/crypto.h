/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subset of the PSA Crypto API 1.1 (IHI 0086) that the SPE implements: SHA-256, deterministic
 * ECDSA on P-256 and AES-GCM with the built-in keys of device_keys.h, and
 * random bytes. Types, values and errors are the specification's.
 */
#ifndef PSA_CRYPTO_H
#define PSA_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

#include "psa/crypto_types.h"
#include "psa/crypto_values.h"
#include "psa/crypto_struct.h"
#include "psa/crypto_sizes.h"

psa_status_t psa_crypto_init(void);

psa_status_t psa_hash_compute(psa_algorithm_t alg, const uint8_t *input, size_t input_length, uint8_t *hash,
			      size_t hash_size, size_t *hash_length);
psa_status_t psa_hash_setup(psa_hash_operation_t *operation, psa_algorithm_t alg);
psa_status_t psa_hash_update(psa_hash_operation_t *operation, const uint8_t *input, size_t input_length);
psa_status_t psa_hash_finish(psa_hash_operation_t *operation, uint8_t *hash, size_t hash_size, size_t *hash_length);
psa_status_t psa_hash_abort(psa_hash_operation_t *operation);

/*
 * PSA_ALG_DETERMINISTIC_ECDSA(PSA_ALG_SHA_256) only: RFC 6979, r and s of 32 bytes each.
 * PSA_ERROR_BAD_STATE: the device has no identity; PSA_ERROR_NOT_PERMITTED: not this partition's key.
 */
psa_status_t psa_sign_hash(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *hash, size_t hash_length,
			   uint8_t *signature, size_t signature_size, size_t *signature_length);
psa_status_t psa_sign_message(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *input, size_t input_length,
			      uint8_t *signature, size_t signature_size, size_t *signature_length);

/*
 * PSA_ALG_GCM only, with a nonce of 12 bytes and a tag of 16, which stands behind the ciphertext. The two buffers may be
 * one. psa_aead_decrypt(): PSA_ERROR_INVALID_SIGNATURE, and the plaintext is not given away, unless all of it is as it
 * was encrypted. PSA_ERROR_BAD_STATE: the device has no identity; PSA_ERROR_NOT_PERMITTED: not this partition's key.
 */
psa_status_t psa_aead_encrypt(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *nonce, size_t nonce_length,
			      const uint8_t *additional_data, size_t additional_data_length, const uint8_t *plaintext,
			      size_t plaintext_length, uint8_t *ciphertext, size_t ciphertext_size,
			      size_t *ciphertext_length);
psa_status_t psa_aead_decrypt(psa_key_id_t key, psa_algorithm_t alg, const uint8_t *nonce, size_t nonce_length,
			      const uint8_t *additional_data, size_t additional_data_length, const uint8_t *ciphertext,
			      size_t ciphertext_length, uint8_t *plaintext, size_t plaintext_size,
			      size_t *plaintext_length);

/* P-256 public keys: 0x04 || x || y, 65 bytes. */
psa_status_t psa_export_public_key(psa_key_id_t key, uint8_t *data, size_t data_size, size_t *data_length);

/* HMAC_DRBG (SP 800-90A) seeded from the entropy area; PSA_ERROR_INSUFFICIENT_ENTROPY without one. */
psa_status_t psa_generate_random(uint8_t *output, size_t output_size);

#endif
