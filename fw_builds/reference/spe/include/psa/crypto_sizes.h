/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffer sizes of the PSA Crypto API 1.1 for what the SPE implements.
 */
#ifndef PSA_CRYPTO_SIZES_H
#define PSA_CRYPTO_SIZES_H

#define PSA_HASH_LENGTH(alg) (32u)
#define PSA_HASH_MAX_SIZE (32u)
#define PSA_SIGNATURE_MAX_SIZE (64u)
#define PSA_AEAD_NONCE_MAX_SIZE (12u)
#define PSA_AEAD_TAG_MAX_SIZE (16u)
#define PSA_EXPORT_PUBLIC_KEY_MAX_SIZE (65u)

#endif
