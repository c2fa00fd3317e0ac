/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protected storage: objects in flash outside of the chip, each a COSE_Encrypt0 message (docs/protocol.md, "Protected
 * storage"). What is there, and in which version, says a table in internal trusted storage: an object that is not the
 * one written last, or not this device's, does not pass for it.
 *
 * A new version is written beside the old one and counts when the table names it. Its nonce is taken before that, for
 * good: a write that was cut short never leaves a nonce to be used again.
 */
#ifndef PS_STORE_H
#define PS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "psa/protected_storage.h"

#define PS_MAX_OBJECTS 7u
#define PS_SECTOR_SIZE 512u
#define PS_FLASH_SIZE (2u * PS_MAX_OBJECTS * PS_SECTOR_SIZE) /* two sectors an object */

#define PS_NONCE_SIZE 12u
#define PS_TAG_SIZE 16u

/* Where objects are, and what the store needs of the services beside it. */
struct ps_backend {
	uint8_t *flash; /* PS_FLASH_SIZE bytes */
	psa_status_t (*table_get)(void *table, size_t size, size_t *len);
	psa_status_t (*table_set)(const void *table, size_t size);
	psa_status_t (*encrypt)(const uint8_t nonce[PS_NONCE_SIZE], const uint8_t *aad, size_t aad_len,
				const uint8_t *plaintext, size_t len, uint8_t *ciphertext, size_t size,
				size_t *ciphertext_len);
	psa_status_t (*decrypt)(const uint8_t nonce[PS_NONCE_SIZE], const uint8_t *aad, size_t aad_len,
				const uint8_t *ciphertext, size_t len, uint8_t *plaintext, size_t size,
				size_t *plaintext_len);
};

psa_status_t ps_set(const struct ps_backend *backend, int32_t owner, uint64_t uid, const void *data, size_t size,
		    uint32_t flags);

/* The whole object. Nothing is left of it in the store; the caller wipes what it got. */
psa_status_t ps_get(const struct ps_backend *backend, int32_t owner, uint64_t uid, uint8_t data[PS_MAX_OBJECT_SIZE],
		    size_t *size, uint32_t *flags);

psa_status_t ps_remove(const struct ps_backend *backend, int32_t owner, uint64_t uid);

#endif
