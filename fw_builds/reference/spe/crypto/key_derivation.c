/* SPDX-License-Identifier: Apache-2.0 */
#include "key_derivation.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "bearssl_kdf.h"
#include "bytes.h"
#include "wipe.h"

#define IDENTITY_SALT "tfm-harness-reference"
#define BOOT_SEED_SALT "tfm-harness-boot-seed"
#define RANDOM_SALT "tfm-harness-random"
#define UUID_LABEL "tfm-harness/uuid/v1"

/* n - 2 for the order n of P-256 (SP 800-186, 3.2.1.3) */
static const uint8_t order_minus_2[32] = {
	0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x4F,
};

/* HKDF-Extract (RFC 5869) over SHA-256, ready to expand. */
static void extract(br_hkdf_context *hkdf, const char *salt, const uint8_t ikm[32])
{
	br_hkdf_init(hkdf, &br_sha256_vtable, salt, strlen(salt));
	br_hkdf_inject(hkdf, ikm, 32);
	br_hkdf_flip(hkdf);
}

/* The pseudorandom key in the context, and what BearSSL made of it on the stack, give all the keys. */
static void forget(br_hkdf_context *hkdf)
{
	wipe(hkdf, sizeof *hkdf);
	wipe_stack();
}

/* k > n - 2, without a branch on k */
static bool too_large(const uint8_t k[32])
{
	uint32_t borrow = 0;

	for (unsigned i = 32; i-- > 0;) {
		borrow = ((uint32_t)order_minus_2[i] - k[i] - borrow) >> 31;
	}
	return borrow != 0;
}

static void increment(uint8_t k[32])
{
	uint32_t carry = 1;

	for (unsigned i = 32; i-- > 0;) {
		carry += k[i];
		k[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

void derive_p256_key(const uint8_t huk[32], const char *label, uint8_t key[32])
{
	br_hkdf_context hkdf;

	extract(&hkdf, IDENTITY_SALT, huk);
	do {
		(void)br_hkdf_produce(&hkdf, label, strlen(label), key, 32);
	} while (too_large(key));
	increment(key);
	forget(&hkdf);
}

void derive_aes_key(const uint8_t huk[32], const char *label, uint8_t key[16])
{
	br_hkdf_context hkdf;

	extract(&hkdf, IDENTITY_SALT, huk);
	(void)br_hkdf_produce(&hkdf, label, strlen(label), key, 16);
	forget(&hkdf);
}

void derive_uuid(const uint8_t huk[32], uint8_t uuid[16])
{
	br_hkdf_context hkdf;

	extract(&hkdf, IDENTITY_SALT, huk);
	(void)br_hkdf_produce(&hkdf, UUID_LABEL, strlen(UUID_LABEL), uuid, 16);
	forget(&hkdf);
	uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x80); /* version 8 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80); /* RFC 9562 variant */
}

static void derive_seed(const char *salt, const uint8_t entropy[32], uint32_t boot_count, uint8_t seed[32])
{
	br_hkdf_context hkdf;
	uint8_t info[4];

	put_le32(info, boot_count);
	extract(&hkdf, salt, entropy);
	(void)br_hkdf_produce(&hkdf, info, sizeof info, seed, 32);
	forget(&hkdf);
}

void derive_boot_seed(const uint8_t entropy[32], uint32_t boot_count, uint8_t seed[32])
{
	derive_seed(BOOT_SEED_SALT, entropy, boot_count, seed);
}

void derive_random_seed(const uint8_t entropy[32], uint32_t boot_count, uint8_t seed[32])
{
	derive_seed(RANDOM_SALT, entropy, boot_count, seed);
}
