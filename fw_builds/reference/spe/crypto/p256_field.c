/* SPDX-License-Identifier: Apache-2.0 */
#include "p256_field.h"

#include <string.h>

#include "p256_words.h"

const struct p256_number p256_prime = { { ~0u, ~0u, ~0u, 0, 0, 0, 1, ~0u } };
const struct p256_number p256_order = { { 0xFC632551, 0xF3B9CAC2, 0xA7179E84, 0xBCE6FAAD, ~0u, ~0u, 0, ~0u } };
const struct p256_number p256_one = { { 1, 0, 0, ~0u, ~0u, ~0u, 0xFFFFFFFE, 0 } };

/* 2^512 modulo p and n: a Montgomery product with it brings a number into Montgomery form. */
static const struct p256_number field_square = { { 3, 0, ~0u, 0xFFFFFFFB, 0xFFFFFFFE, ~0u, 0xFFFFFFFD, 4 } };
static const struct p256_number order_square = { { 0xBE79EEA2, 0x83244C95, 0x49BD6FA6, 0x4699799C, 0x2B6BEC59,
						   0x2845B239, 0xF3D95620, 0x66E12D94 } };
static const struct p256_number plain_one = { { 1 } };

void p256_number_from_bytes(struct p256_number *number, const uint8_t bytes[P256_SIZE])
{
	for (unsigned i = 0; i < 8; i++) {
		uint32_t word;

		memcpy(&word, bytes + 28 - 4 * i, 4);
		number->word[i] = __builtin_bswap32(word);
	}
}

void p256_number_to_bytes(const struct p256_number *number, uint8_t bytes[P256_SIZE])
{
	for (unsigned i = 0; i < 8; i++) {
		const uint32_t word = __builtin_bswap32(number->word[i]);

		memcpy(bytes + 28 - 4 * i, &word, 4);
	}
}

bool p256_number_is_zero(const struct p256_number *a)
{
	uint32_t any = 0;

	for (unsigned i = 0; i < 8; i++) {
		any |= a->word[i];
	}
	return any == 0;
}

bool p256_numbers_equal(const struct p256_number *a, const struct p256_number *b)
{
	uint32_t differ = 0;

	for (unsigned i = 0; i < 8; i++) {
		differ |= a->word[i] ^ b->word[i];
	}
	return differ == 0;
}

bool p256_number_below(const struct p256_number *a, const struct p256_number *b)
{
	struct p256_number difference;

	return p256_words_subtract(&difference, a, b) != 0;
}

void p256_number_select(struct p256_number *to, const struct p256_number *from, uint32_t mask)
{
	for (unsigned i = 0; i < 8; i++) {
		to->word[i] ^= mask & (to->word[i] ^ from->word[i]);
	}
}

void p256_number_reduce(struct p256_number *a, const struct p256_number *modulus)
{
	struct p256_number reduced;
	const uint32_t smaller = p256_words_subtract(&reduced, a, modulus);

	p256_number_select(a, &reduced, ~smaller);
}

void p256_order_add(struct p256_number *r, const struct p256_number *a, const struct p256_number *b)
{
	struct p256_number reduced;
	const uint32_t carry = p256_words_add(r, a, b);
	const uint32_t smaller = p256_words_subtract(&reduced, r, &p256_order);

	p256_number_select(r, &reduced, ~(carry + smaller));
}

void p256_field_to_montgomery(struct p256_number *r, const struct p256_number *a)
{
	p256_field_mul(r, a, &field_square);
}

void p256_field_from_montgomery(struct p256_number *r, const struct p256_number *a)
{
	p256_field_mul(r, a, &plain_one);
}

void p256_order_to_montgomery(struct p256_number *r, const struct p256_number *a)
{
	p256_order_mul(r, a, &order_square);
}

/* 1 / a = a^(modulus - 2), four bits of the exponent at a time. */
static void invert(struct p256_number *r, const struct p256_number *a, const struct p256_number *modulus,
		   void (*mul)(struct p256_number *, const struct p256_number *, const struct p256_number *))
{
	struct p256_number powers[16];
	struct p256_number exponent = *modulus;

	exponent.word[0] -= 2;
	powers[1] = *a;
	for (unsigned i = 2; i < 16; i++) {
		mul(&powers[i], &powers[i - 1], a);
	}
	*r = powers[exponent.word[7] >> 28];
	for (unsigned at = 63; at-- > 0;) {
		const unsigned four = exponent.word[at / 8] >> at % 8 * 4 & 15;

		for (unsigned i = 0; i < 4; i++) {
			mul(r, r, r);
		}
		if (four != 0) {
			mul(r, r, &powers[four]);
		}
	}
}

void p256_field_invert(struct p256_number *r, const struct p256_number *a)
{
	invert(r, a, &p256_prime, p256_field_mul);
}

void p256_order_invert(struct p256_number *r, const struct p256_number *a)
{
	invert(r, a, &p256_order, p256_order_mul);
}
