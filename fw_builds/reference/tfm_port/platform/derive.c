/* SPDX-License-Identifier: Apache-2.0 */
#include "derive.h"

#include <string.h>

#include "mbedtls/md.h"
#include "mbedtls/platform_util.h"
#include "tfm_plat_otp.h"

#define HASH_SIZE 32u
#define LABEL_MAX 64u

/* The same salt and labels as the reference firmware: one HUK gives one identity. */
#define IDENTITY_SALT "tfm-harness-reference"
#define UUID_LABEL "tfm-harness/uuid/v1"

/* n - 2 for the order n of P-256 (SP 800-186, 3.2.1.3) */
static const uint8_t order_minus_2[DERIVE_KEY_SIZE] = {
	0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
	0xBC, 0xE6, 0xFA, 0xAD, 0xA7, 0x17, 0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x4F,
};

static bool hmac(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len, uint8_t out[HASH_SIZE])
{
	return mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), key, key_len, data, len, out) == 0;
}

/* HKDF-Extract (RFC 5869) of the HUK. */
static bool extract(uint8_t prk[HASH_SIZE])
{
	uint8_t huk[HASH_SIZE];
	bool ok = tfm_plat_otp_read(PLAT_OTP_ID_HUK, sizeof(huk), huk) == TFM_PLAT_ERR_SUCCESS;

	ok = ok && hmac((const uint8_t *)IDENTITY_SALT, strlen(IDENTITY_SALT), huk, sizeof(huk), prk);
	mbedtls_platform_zeroize(huk, sizeof(huk));
	return ok;
}

/* Block `number` (1, 2, ...) of HKDF-Expand; `block` holds the one before it. */
static bool expand(const uint8_t prk[HASH_SIZE], const char *label, uint8_t number, uint8_t block[HASH_SIZE])
{
	uint8_t message[HASH_SIZE + LABEL_MAX + 1u];
	const size_t before = number > 1u ? HASH_SIZE : 0u;
	const size_t label_len = strlen(label);

	if (label_len > LABEL_MAX) {
		return false;
	}
	memcpy(message, block, before);
	memcpy(message + before, label, label_len);
	message[before + label_len] = number;
	return hmac(prk, HASH_SIZE, message, before + label_len + 1u, block);
}

static bool too_large(const uint8_t k[DERIVE_KEY_SIZE])
{
	uint32_t borrow = 0;

	for (unsigned i = DERIVE_KEY_SIZE; i-- > 0;) {
		borrow = ((uint32_t)order_minus_2[i] - k[i] - borrow) >> 31;
	}
	return borrow != 0;
}

static void increment(uint8_t k[DERIVE_KEY_SIZE])
{
	for (unsigned i = DERIVE_KEY_SIZE; i-- > 0 && ++k[i] == 0;) {
	}
}

bool derive_p256_key(const char *label, uint8_t key[DERIVE_KEY_SIZE])
{
	uint8_t prk[HASH_SIZE];
	uint8_t number = 0;
	bool ok = extract(prk);

	do {
		ok = ok && expand(prk, label, ++number, key);
	} while (ok && number < UINT8_MAX && too_large(key));
	increment(key);
	mbedtls_platform_zeroize(prk, sizeof(prk));
	return ok;
}

bool derive_uuid(uint8_t uuid[DERIVE_UUID_SIZE])
{
	uint8_t prk[HASH_SIZE], block[HASH_SIZE];
	const bool ok = extract(prk) && expand(prk, UUID_LABEL, 1u, block);

	memcpy(uuid, block, DERIVE_UUID_SIZE);
	uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x80); /* version 8 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80); /* RFC 9562 variant */
	mbedtls_platform_zeroize(prk, sizeof(prk));
	return ok;
}
