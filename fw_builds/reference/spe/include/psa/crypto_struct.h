/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operation objects of the PSA Crypto API 1.1. Their members are the implementation's.
 */
#ifndef PSA_CRYPTO_STRUCT_H
#define PSA_CRYPTO_STRUCT_H

#include <stdint.h>

/* Room for a SHA-256 context; `active` is zero when the operation is not set up. */
typedef struct psa_hash_operation_s {
	uint32_t active;
	uint64_t context[16];
} psa_hash_operation_t;

#define PSA_HASH_OPERATION_INIT { 0, { 0 } }

static inline psa_hash_operation_t psa_hash_operation_init(void)
{
	const psa_hash_operation_t operation = PSA_HASH_OPERATION_INIT;

	return operation;
}

#endif
