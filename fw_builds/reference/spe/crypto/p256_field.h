/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic of P-256 on numbers of 256 bits, as 8 words with the least significant first: modulo the field's prime p and
 * modulo the curve's order n. Numbers are below their modulus, going in and coming out. All of it takes the same time for
 * all values; exponents are public.
 *
 * p256_field_mul and p256_order_mul are Montgomery's: they give a * b / 2^256. A number x "in Montgomery form" is x * 2^256.
 */
#ifndef P256_FIELD_H
#define P256_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#define P256_SIZE 32u

struct p256_number {
	uint32_t word[8];
};

extern const struct p256_number p256_prime, p256_order;
extern const struct p256_number p256_one; /* of the field, in Montgomery form */

/* Big-endian bytes, as they are: not reduced, not in Montgomery form. */
void p256_number_from_bytes(struct p256_number *number, const uint8_t bytes[P256_SIZE]);
void p256_number_to_bytes(const struct p256_number *number, uint8_t bytes[P256_SIZE]);

bool p256_number_is_zero(const struct p256_number *a);
bool p256_numbers_equal(const struct p256_number *a, const struct p256_number *b);
bool p256_number_below(const struct p256_number *a, const struct p256_number *b);

/* *to = mask is all ones ? *from : *to; the mask is that or 0. */
void p256_number_select(struct p256_number *to, const struct p256_number *from, uint32_t mask);

/* A number below 2 * modulus (any of 256 bits is below 2 * p, and below 2 * n) brought below the modulus. */
void p256_number_reduce(struct p256_number *a, const struct p256_number *modulus);

void p256_field_add(struct p256_number *r, const struct p256_number *a, const struct p256_number *b);
void p256_field_subtract(struct p256_number *r, const struct p256_number *a, const struct p256_number *b);
void p256_field_mul(struct p256_number *r, const struct p256_number *a, const struct p256_number *b);
void p256_field_to_montgomery(struct p256_number *r, const struct p256_number *a);
void p256_field_from_montgomery(struct p256_number *r, const struct p256_number *a);
/* 1 / a, both in Montgomery form; of 0 it is 0. */
void p256_field_invert(struct p256_number *r, const struct p256_number *a);

void p256_order_add(struct p256_number *r, const struct p256_number *a, const struct p256_number *b);
void p256_order_mul(struct p256_number *r, const struct p256_number *a, const struct p256_number *b);
void p256_order_to_montgomery(struct p256_number *r, const struct p256_number *a);
void p256_order_invert(struct p256_number *r, const struct p256_number *a);

#endif
