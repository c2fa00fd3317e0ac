/* SPDX-License-Identifier: Apache-2.0 */
#include "ecdsa.h"

#include <string.h>

#include "bearssl_hash.h"
#include "bearssl_rand.h"
#include "fih.h"
#include "p256_point.h"
#include "wipe.h"

/* 1..n-1, without a branch on the number. */
static bool in_range(const struct p256_number *number)
{
	return p256_number_below(number, &p256_order) & !p256_number_is_zero(number);
}

/* A digest as a number modulo n. */
static void from_digest(struct p256_number *number, const uint8_t digest[32])
{
	p256_number_from_bytes(number, digest);
	p256_number_reduce(number, &p256_order);
}

/* The next number of RFC 6979's generator that is in range (3.2, h). */
static void next_nonce(br_hmac_drbg_context *generator, struct p256_number *nonce)
{
	uint8_t bytes[P256_SIZE];

	do {
		br_hmac_drbg_generate(generator, bytes, sizeof bytes);
		p256_number_from_bytes(nonce, bytes);
	} while (!in_range(nonce));
}

/* s = (digest + r * key) / nonce, modulo n. */
static void second_half(struct p256_number *s, const struct p256_number *nonce, const struct p256_number *digest,
			const struct p256_number *r, const struct p256_number *key)
{
	struct p256_number inverse;

	p256_order_to_montgomery(&inverse, nonce);
	p256_order_invert(&inverse, &inverse);
	p256_order_to_montgomery(s, key);
	p256_order_mul(s, s, r);
	p256_order_add(s, s, digest);
	p256_order_mul(s, s, &inverse);
}

/* What it leaves on the stack the caller wipes. */
static __attribute__((noinline)) bool sign(const br_hash_class *hash, const uint8_t key_bytes[ECDSA_KEY_SIZE],
					   const uint8_t digest_bytes[32], uint8_t signature[ECDSA_SIGNATURE_SIZE])
{
	br_hmac_drbg_context generator;
	struct p256_number key, digest, nonce, r, s;
	struct p256_point point;
	struct p256_affine affine;
	uint8_t seed[2 * P256_SIZE];

	p256_number_from_bytes(&key, key_bytes);
	if (!in_range(&key)) {
		return false;
	}
	from_digest(&digest, digest_bytes);
	memcpy(seed, key_bytes, P256_SIZE);
	p256_number_to_bytes(&digest, seed + P256_SIZE);
	br_hmac_drbg_init(&generator, hash, seed, sizeof seed);
	do {
		next_nonce(&generator, &nonce);
		p256_point_multiply_generator(&point, &nonce);
		p256_point_to_affine(&affine, &point);
		r = affine.x;
		p256_number_reduce(&r, &p256_order);
		second_half(&s, &nonce, &digest, &r, &key);
	} while (p256_number_is_zero(&r) || p256_number_is_zero(&s));
	p256_number_to_bytes(&r, signature);
	p256_number_to_bytes(&s, signature + P256_SIZE);
	return true;
}

bool ecdsa_sign(const uint8_t key[ECDSA_KEY_SIZE], const uint8_t digest[32], uint8_t signature[ECDSA_SIGNATURE_SIZE])
{
	const bool signed_it = sign(&br_sha256_vtable, key, digest, signature);

	wipe_stack(); /* the key, the nonce and the generator's state */
	return signed_it;
}

/* *r: what r is in the signature with this s, if that is right. */
static bool recover_r(const uint8_t public_key[ECDSA_PUBLIC_KEY_SIZE], const uint8_t digest_bytes[32],
		      const struct p256_number *signed_r, const struct p256_number *s, struct p256_number *r)
{
	struct p256_number inverse, u, v;
	struct p256_point point;
	struct p256_affine affine;

	if (!in_range(signed_r) || !in_range(s) || public_key[0] != 0x04 ||
	    !p256_point_from_bytes(&affine, public_key + 1)) {
		return false;
	}
	p256_order_to_montgomery(&inverse, s);
	p256_order_invert(&inverse, &inverse);
	from_digest(&u, digest_bytes);
	p256_order_mul(&u, &u, &inverse);
	p256_order_mul(&v, signed_r, &inverse);
	p256_point_multiply_both(&point, &u, &v, &affine);
	if (p256_number_is_zero(&point.z)) {
		return false;
	}
	p256_point_to_affine(&affine, &point);
	*r = affine.x;
	p256_number_reduce(r, &p256_order);
	return true;
}

DECISION bool ecdsa_verify(const uint8_t public_key[ECDSA_PUBLIC_KEY_SIZE], const uint8_t digest[32],
			   const uint8_t signature[ECDSA_SIGNATURE_SIZE])
{
	struct p256_number signed_r, s, r;

	p256_number_from_bytes(&signed_r, signature);
	p256_number_from_bytes(&s, signature + P256_SIZE);
	return recover_r(public_key, digest, &signed_r, &s, &r) && p256_numbers_equal(&r, &signed_r);
}

/* What it leaves on the stack the caller wipes. */
static __attribute__((noinline)) bool multiply(const uint8_t key[ECDSA_KEY_SIZE], struct p256_affine *affine)
{
	struct p256_number number;
	struct p256_point point;

	p256_number_from_bytes(&number, key);
	if (!in_range(&number)) {
		return false;
	}
	p256_point_multiply_generator(&point, &number);
	p256_point_to_affine(affine, &point);
	return true;
}

bool ecdsa_public_key(const uint8_t key[ECDSA_KEY_SIZE], uint8_t public_key[ECDSA_PUBLIC_KEY_SIZE])
{
	struct p256_affine affine;
	const bool is_key = multiply(key, &affine);

	wipe_stack();
	if (!is_key) {
		return false;
	}
	public_key[0] = 0x04;
	p256_number_to_bytes(&affine.x, public_key + 1);
	p256_number_to_bytes(&affine.y, public_key + 1 + P256_SIZE);
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
