/* SPDX-License-Identifier: Apache-2.0 */
#include "ecdsa.h"

#include <string.h>

#include "bearssl_ec.h"
#include "fih.h"
#include "wipe.h"

/* br_ec_p256_m31: constant-time, 31-bit limbs; the multiplier of a Cortex-M55 is constant-time too. */
static const br_ec_impl *const curve = &br_ec_p256_m31;

static br_ec_private_key private_key(const uint8_t *key, uint8_t *copy)
{
	memcpy(copy, key, ECDSA_KEY_SIZE);
	return (br_ec_private_key){ .curve = BR_EC_secp256r1, .x = copy, .xlen = ECDSA_KEY_SIZE };
}

/* 1..n-1, without a branch on the key. */
static bool in_range(const uint8_t key[ECDSA_KEY_SIZE])
{
	size_t len;
	const unsigned char *const order = curve->order(BR_EC_secp256r1, &len);
	uint32_t below = 0, any = 0;

	for (size_t i = ECDSA_KEY_SIZE; i-- > 0;) {
		below = ((uint32_t)key[i] - order[i] - below) >> 31;
		any |= key[i];
	}
	return len == ECDSA_KEY_SIZE && below != 0 && any != 0;
}

bool ecdsa_sign(const uint8_t key[ECDSA_KEY_SIZE], const uint8_t digest[32], uint8_t signature[ECDSA_SIGNATURE_SIZE])
{
	uint8_t copy[ECDSA_KEY_SIZE];
	const br_ec_private_key private = private_key(key, copy);
	const size_t len = br_ecdsa_i31_sign_raw(curve, &br_sha256_vtable, digest, &private, signature);

	wipe(copy, sizeof copy);
	wipe_stack(); /* the key and the nonce in BearSSL's own representation */
	return len == ECDSA_SIGNATURE_SIZE;
}

DECISION bool ecdsa_verify(const uint8_t public_key[ECDSA_PUBLIC_KEY_SIZE], const uint8_t digest[32],
			   const uint8_t signature[ECDSA_SIGNATURE_SIZE])
{
	uint8_t copy[ECDSA_PUBLIC_KEY_SIZE];
	const br_ec_public_key public = { .curve = BR_EC_secp256r1, .q = copy, .qlen = sizeof copy };

	memcpy(copy, public_key, sizeof copy);
	return br_ecdsa_i31_vrfy_raw(curve, digest, 32, &public, signature, ECDSA_SIGNATURE_SIZE) == 1;
}

bool ecdsa_public_key(const uint8_t key[ECDSA_KEY_SIZE], uint8_t public_key[ECDSA_PUBLIC_KEY_SIZE])
{
	uint8_t copy[ECDSA_KEY_SIZE];
	uint8_t buffer[BR_EC_KBUF_PUB_MAX_SIZE];
	br_ec_public_key public;
	const br_ec_private_key private = private_key(key, copy);
	const size_t len = br_ec_compute_pub(curve, &public, buffer, &private);

	wipe(copy, sizeof copy);
	wipe_stack();
	if (len != ECDSA_PUBLIC_KEY_SIZE || !in_range(key)) { /* BearSSL checks keys only when it signs */
		return false;
	}
	memcpy(public_key, buffer, ECDSA_PUBLIC_KEY_SIZE);
	return true;
}

/* One DER INTEGER of at most 32 significant bytes at *at; moves *at behind it. */
static bool take_integer(const uint8_t **at, const uint8_t *end, uint8_t out[32])
{
	const uint8_t *const p = *at;

	if (end - p < 2 || p[0] != 0x02 || p[1] == 0 || p[1] > 33 || end - p - 2 < p[1]) {
		return false;
	}
	const uint8_t *value = p + 2;
	size_t len = p[1];

	if ((value[0] & 0x80) != 0 || (len > 1 && value[0] == 0 && (value[1] & 0x80) == 0)) {
		return false; /* negative, or not the shortest form */
	}
	if (value[0] == 0) {
		value++;
		len--;
	}
	if (len > 32) {
		return false;
	}
	memset(out, 0, 32);
	memcpy(out + 32 - len, value, len);
	*at = p + 2 + p[1];
	return true;
}

DECISION bool ecdsa_signature_from_der(const uint8_t *der, size_t len, uint8_t signature[ECDSA_SIGNATURE_SIZE])
{
	if (len < 2 || len > ECDSA_DER_MAX || der[0] != 0x30 || der[1] != len - 2) {
		return false;
	}
	const uint8_t *at = der + 2;
	const uint8_t *const end = der + len;

	return take_integer(&at, end, signature) && take_integer(&at, end, signature + 32) && at == end;
}
