/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the partition asks the platform service: facts of this boot that do not change until the next.
 */
#ifndef PLATFORM_CLIENT_H
#define PLATFORM_CLIENT_H

#include <stdint.h>

#include "psa/error.h"

#define PLATFORM_BOOT_SEED_SIZE 32u
#define PLATFORM_UUID_SIZE 16u

/* PSA_ERROR_BAD_STATE: the platform has no seed (no entropy), or no identity (empty OTP). */
psa_status_t platform_boot_seed(uint8_t seed[PLATFORM_BOOT_SEED_SIZE]);
psa_status_t platform_uuid(uint8_t uuid[PLATFORM_UUID_SIZE]);
psa_status_t platform_lifecycle(uint32_t *lifecycle);

#endif
