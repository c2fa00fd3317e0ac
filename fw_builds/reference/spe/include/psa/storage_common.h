/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PSA Internal Trusted Storage and PSA Protected Storage share (PSA Secure Storage API 1.0, IHI 0087).
 */
#ifndef PSA_STORAGE_COMMON_H
#define PSA_STORAGE_COMMON_H

#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"

typedef uint64_t psa_storage_uid_t;
typedef uint32_t psa_storage_create_flags_t;

#define PSA_STORAGE_FLAG_NONE ((psa_storage_create_flags_t)0)
#define PSA_STORAGE_FLAG_WRITE_ONCE ((psa_storage_create_flags_t)1)

struct psa_storage_info_t {
	size_t capacity;
	size_t size;
	psa_storage_create_flags_t flags;
};

#endif
