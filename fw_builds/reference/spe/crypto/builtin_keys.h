/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of device_keys.h: derived on first use, kept for the boot.
 */
#ifndef BUILTIN_KEYS_H
#define BUILTIN_KEYS_H

#include <stdint.h>

#include "psa/crypto.h"

/* PSA_ERROR_INVALID_HANDLE: no such key; PSA_ERROR_BAD_STATE: the device has no identity. */
psa_status_t builtin_public_key(psa_key_id_t id, const uint8_t **point);

/* Also PSA_ERROR_NOT_PERMITTED: not this partition's key; PSA_ERROR_BAD_STATE: no entropy in this boot. */
psa_status_t builtin_sign(psa_key_id_t id, int32_t partition, const uint8_t digest[32], uint8_t signature[64]);

/* The AES-128 key of that id, 16 bytes, for the one partition that may use it. Errors as builtin_sign()'s first three. */
psa_status_t builtin_aes_key(psa_key_id_t id, int32_t partition, const uint8_t **key);

/* 0x01 || SHA-256 of the IAK's COSE_Key (RFC 9783, 4.2.1). PSA_ERROR_BAD_STATE as above. */
psa_status_t builtin_instance_id(uint8_t id[33]);

#endif
