/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integral types of the PSA Crypto API 1.1.
 */
#ifndef PSA_CRYPTO_TYPES_H
#define PSA_CRYPTO_TYPES_H

#include <stdint.h>

#include "psa/error.h"

typedef uint32_t psa_algorithm_t;
typedef uint16_t psa_key_type_t;
typedef uint32_t psa_key_id_t;
typedef uint32_t psa_key_usage_t;
typedef uint8_t psa_ecc_family_t;

#endif
