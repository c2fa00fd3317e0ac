/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants of the PSA Crypto API 1.1, those in use.
 */
#ifndef PSA_CRYPTO_VALUES_H
#define PSA_CRYPTO_VALUES_H

#include "psa/crypto_types.h"

#define PSA_KEY_ID_NULL ((psa_key_id_t)0)

#define PSA_ALG_NONE ((psa_algorithm_t)0)
#define PSA_ALG_SHA_256 ((psa_algorithm_t)0x02000009)

#define PSA_ALG_DETERMINISTIC_ECDSA_BASE ((psa_algorithm_t)0x06000700)
#define PSA_ALG_DETERMINISTIC_ECDSA(hash_alg) \
	((psa_algorithm_t)(PSA_ALG_DETERMINISTIC_ECDSA_BASE | ((hash_alg) & 0x000000ff)))

#define PSA_ALG_GCM ((psa_algorithm_t)0x05500200)

#define PSA_ECC_FAMILY_SECP_R1 ((psa_ecc_family_t)0x12)

#endif
