/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What signing and key derivation leave on the stack: no part of a key, of a signature's nonce, or of the pseudorandom
 * key that all keys come from. They run on a thread whose stack is looked through afterwards.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../../spe/crypto/ecdsa.h"
#include "../../spe/crypto/key_derivation.h"
#include "../../spe/crypto/wipe.h"
#include "bearssl_hash.h"
#include "bearssl_hmac.h"
#include "check.h"

#ifdef WIPE_LEFT_OUT
void wipe_stack(void)
{
}
#endif

#define PART 16u /* this many bytes in a row are no accident */

/* RFC 6979, A.2.5: the key, and k of the signature over SHA-256("sample"). */
static const uint8_t key[32] = {
	0xC9, 0xAF, 0xA9, 0xD8, 0x45, 0xBA, 0x75, 0x16, 0x6B, 0x5C, 0x21, 0x57, 0x67, 0xB1, 0xD6, 0x93,
	0x4E, 0x50, 0xC3, 0xDB, 0x36, 0xE8, 0x9B, 0x12, 0x7B, 0x8A, 0x62, 0x2B, 0x12, 0x0F, 0x67, 0x21,
};
static const uint8_t nonce[32] = {
	0xA6, 0xE3, 0xC5, 0x7D, 0xD0, 0x1A, 0xBE, 0x90, 0x08, 0x65, 0x38, 0x39, 0x83, 0x55, 0xDD, 0x4C,
	0x3B, 0x17, 0xAA, 0x87, 0x33, 0x82, 0xB0, 0xF2, 0x4D, 0x61, 0x29, 0x49, 0x3D, 0x8A, 0xAD, 0x60,
};
static const uint8_t huk[32] = "TEST ONLY: a hardware unique key";

static uint8_t stack[1 << 20] __attribute__((aligned(4096)));
static uint8_t digest[32], signature[64], point[65], derived[32], id[16], seed[32];

static bool on_the_stack(const void *secret, size_t size)
{
	const uint8_t *const bytes = secret;

	for (size_t part = 0; part + PART <= size; part++) {
		for (size_t at = 0; at + PART <= sizeof stack; at++) {
			if (stack[at] == bytes[part] && memcmp(stack + at, bytes + part, PART) == 0) {
				return true;
			}
		}
	}
	return false;
}

/* As bytes, and in words of 31 bits, least significant first, as BearSSL computes. */
static bool number_on_the_stack(const uint8_t number[32])
{
	uint32_t words[9] = { 0 };

	for (unsigned bit = 0; bit < 256; bit++) {
		words[bit / 31] |= (uint32_t)(number[31 - bit / 8] >> bit % 8 & 1) << bit % 31;
	}
	return on_the_stack(number, 32) || on_the_stack(words, sizeof words);
}

static void *sign(void *unused)
{
	CHECK(ecdsa_sign(key, digest, signature));
	return unused;
}

static void *compute_public_key(void *unused)
{
	CHECK(ecdsa_public_key(key, point));
	return unused;
}

static void *derive_key(void *unused)
{
	derive_p256_key(huk, KEY_LABEL_IAK, derived);
	return unused;
}

static void *derive_id(void *unused)
{
	derive_uuid(huk, id);
	return unused;
}

static void *derive_seeds(void *unused)
{
	derive_boot_seed(huk, 7, seed);
	return unused;
}

static void run(void *(*function)(void *))
{
	pthread_attr_t attributes;
	pthread_t thread;

	memset(stack, 0, sizeof stack);
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstack(&attributes, stack, sizeof stack) == 0);
	CHECK(pthread_create(&thread, &attributes, function, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(pthread_attr_destroy(&attributes) == 0);
}

static void extract(const char *salt, uint8_t prk[32])
{
	br_hmac_key_context salt_key;
	br_hmac_context hmac;

	br_hmac_key_init(&salt_key, &br_sha256_vtable, salt, strlen(salt));
	br_hmac_init(&hmac, &salt_key, 0);
	br_hmac_update(&hmac, huk, sizeof huk);
	br_hmac_out(&hmac, prk);
}

int main(void)
{
	br_sha256_context hash;
	uint8_t prk[32], seed_prk[32];

	br_sha256_init(&hash);
	br_sha256_update(&hash, "sample", 6);
	br_sha256_out(&hash, digest);
	extract("tfm-harness-reference", prk);
	extract("tfm-harness-boot-seed", seed_prk);

	run(sign);
	CHECK(signature[0] == 0xEF && signature[1] == 0xD4); /* the vector's r: this nonce was used */
	CHECK(!number_on_the_stack(key));
	CHECK(!number_on_the_stack(nonce));
	run(compute_public_key);
	CHECK(point[0] == 0x04);
	CHECK(!number_on_the_stack(key));
	run(derive_key);
	CHECK(!on_the_stack(prk, sizeof prk));
	CHECK(!number_on_the_stack(derived));
	run(derive_id);
	CHECK((id[6] & 0xF0) == 0x80);
	CHECK(!on_the_stack(prk, sizeof prk));
	run(derive_seeds);
	CHECK(!on_the_stack(seed_prk, sizeof seed_prk));
	puts("wipe: ok");
	return 0;
}
