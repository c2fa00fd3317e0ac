/* SPDX-License-Identifier: Apache-2.0 */
#include "p256_point.h"

#include <string.h>

#include "p256_comb.h"

#define ODD 8u /* the multiples 1, 3 .. 15 */
#define DIGITS 257u

static const struct p256_number curve_b = { { 0x29C4BDDF, 0xD89CDF62, 0x78843090, 0xACF005CD, 0xF7212ED6, 0xE5A220AB,
					      0x04874834, 0xDC30061D } };

bool p256_point_from_bytes(struct p256_affine *point, const uint8_t bytes[2 * P256_SIZE])
{
	struct p256_number left, right;

	p256_number_from_bytes(&point->x, bytes);
	p256_number_from_bytes(&point->y, bytes + P256_SIZE);
	if (!p256_number_below(&point->x, &p256_prime) || !p256_number_below(&point->y, &p256_prime)) {
		return false;
	}
	p256_field_to_montgomery(&point->x, &point->x);
	p256_field_to_montgomery(&point->y, &point->y);
	p256_field_mul(&left, &point->y, &point->y); /* y^2 = x^3 - 3 * x + b */
	p256_field_mul(&right, &point->x, &point->x);
	p256_field_mul(&right, &right, &point->x);
	for (unsigned i = 0; i < 3; i++) {
		p256_field_subtract(&right, &right, &point->x);
	}
	p256_field_add(&right, &right, &curve_b);
	return p256_numbers_equal(&left, &right);
}

void p256_point_to_affine(struct p256_affine *affine, const struct p256_point *point)
{
	struct p256_number inverse, power;

	p256_field_invert(&inverse, &point->z);
	p256_field_mul(&power, &inverse, &inverse);
	p256_field_mul(&affine->x, &point->x, &power);
	p256_field_mul(&power, &power, &inverse);
	p256_field_mul(&affine->y, &point->y, &power);
	p256_field_from_montgomery(&affine->x, &affine->x);
	p256_field_from_montgomery(&affine->y, &affine->y);
}

/* The point at infinity stays there. */
static void double_point(struct p256_point *p)
{
	struct p256_number zz, yy, s, m, t;

	p256_field_mul(&zz, &p->z, &p->z);
	p256_field_mul(&yy, &p->y, &p->y);
	p256_field_add(&yy, &yy, &yy); /* 2 * y^2 */
	p256_field_mul(&s, &p->x, &yy);
	p256_field_add(&s, &s, &s); /* 4 * x * y^2 */
	p256_field_subtract(&t, &p->x, &zz);
	p256_field_add(&m, &p->x, &zz);
	p256_field_mul(&t, &t, &m);
	p256_field_add(&m, &t, &t);
	p256_field_add(&m, &m, &t); /* 3 * (x - z^2) * (x + z^2) */
	p256_field_mul(&p->z, &p->y, &p->z);
	p256_field_add(&p->z, &p->z, &p->z);
	p256_field_mul(&p->x, &m, &m);
	p256_field_subtract(&p->x, &p->x, &s);
	p256_field_subtract(&p->x, &p->x, &s);
	p256_field_subtract(&s, &s, &p->x);
	p256_field_mul(&t, &yy, &yy);
	p256_field_add(&t, &t, &t); /* 8 * y^4 */
	p256_field_mul(&p->y, &m, &s);
	p256_field_subtract(&p->y, &p->y, &t);
}

/*
 * p += (x, y, z), or (x, y, 1) without z. Neither is at infinity. Where their x are the same, z becomes 0, and x is 0 if
 * and only if their y are the same as well: then the sum is the double.
 */
static void add_coordinates(struct p256_point *p, const struct p256_number *x, const struct p256_number *y,
			    const struct p256_number *z)
{
	struct p256_number zz, u, s, h, r;

	if (z != NULL) {
		p256_field_mul(&zz, z, z);
		p256_field_mul(&p->x, &p->x, &zz);
		p256_field_mul(&zz, &zz, z);
		p256_field_mul(&p->y, &p->y, &zz);
	}
	p256_field_mul(&zz, &p->z, &p->z);
	p256_field_mul(&u, x, &zz);
	p256_field_mul(&zz, &zz, &p->z);
	p256_field_mul(&s, y, &zz);
	p256_field_subtract(&h, &u, &p->x);
	p256_field_subtract(&r, &s, &p->y);
	p256_field_mul(&p->z, &p->z, &h);
	if (z != NULL) {
		p256_field_mul(&p->z, &p->z, z);
	}
	p256_field_mul(&zz, &h, &h);
	p256_field_mul(&u, &p->x, &zz); /* x * h^2 */
	p256_field_mul(&zz, &zz, &h); /* h^3 */
	p256_field_mul(&s, &p->y, &zz);
	p256_field_mul(&p->x, &r, &r);
	p256_field_subtract(&p->x, &p->x, &zz);
	p256_field_subtract(&p->x, &p->x, &u);
	p256_field_subtract(&p->x, &p->x, &u);
	p256_field_subtract(&u, &u, &p->x);
	p256_field_mul(&p->y, &r, &u);
	p256_field_subtract(&p->y, &p->y, &s);
}

/* The bits at, at + 64, at + 128 and at + 192 of k, as one number. */
static unsigned comb_digit(const struct p256_number *k, unsigned at)
{
	unsigned digit = 0;

	for (unsigned tooth = 0; tooth < 4; tooth++) {
		digit |= (k->word[tooth * 2 + at / 32] >> at % 32 & 1) << tooth;
	}
	return digit;
}

/* All entries are read, whatever the digit; none is taken for 0. */
static void comb_entry(struct p256_affine *entry, const struct p256_affine table[15], unsigned digit)
{
	uint32_t mask[15];

	for (uint32_t i = 0; i < 15; i++) {
		mask[i] = 0u - (((digit ^ (i + 1)) - 1) >> 31);
	}
	for (unsigned word = 0; word < 8; word++) {
		uint32_t x = 0, y = 0;

		for (unsigned i = 0; i < 15; i++) {
			x |= mask[i] & table[i].x.word[word];
			y |= mask[i] & table[i].y.word[word];
		}
		entry->x.word[word] = x;
		entry->y.word[word] = y;
	}
}

static void select_point(struct p256_point *to, const struct p256_point *from, uint32_t mask)
{
	p256_number_select(&to->x, &from->x, mask);
	p256_number_select(&to->y, &from->y, mask);
	p256_number_select(&to->z, &from->z, mask);
}

/*
 * What is added is never the sum or its negative: each tooth of the comb adds a bit of k to twice what it has of k so far,
 * and k is below n.
 */
void p256_point_multiply_generator(struct p256_point *r, const struct p256_number *k)
{
	struct p256_point sum, first;
	struct p256_affine entry;
	uint32_t started = 0;

	memset(r, 0, sizeof *r);
	for (unsigned at = 32; at-- > 0;) {
		double_point(r);
		for (unsigned half = 2; half-- > 0;) {
			const unsigned digit = comb_digit(k, at + 32 * half);
			const uint32_t some = 0u - ((0u - digit) >> 31);

			comb_entry(&entry, p256_comb[half], digit);
			sum = *r;
			add_coordinates(&sum, &entry.x, &entry.y, NULL);
			first = (struct p256_point){ entry.x, entry.y, p256_one };
			select_point(r, &sum, some & started);
			select_point(r, &first, some & ~started);
			started |= some;
		}
	}
}

/* p += (x, y, z) whatever they are, in a time that shows it; z is NULL for 1. */
static void add_public(struct p256_point *p, const struct p256_number *x, const struct p256_number *y,
		       const struct p256_number *z)
{
	const struct p256_point before = *p;

	if (p256_number_is_zero(&p->z)) {
		*p = (struct p256_point){ *x, *y, z != NULL ? *z : p256_one };
		return;
	}
	add_coordinates(p, x, y, z);
	if (p256_number_is_zero(&p->z) && p256_number_is_zero(&p->x)) {
		*p = before;
		double_point(p);
	}
}

/* v is the sum of digit[i] * 2^i: each digit is 0, or odd and -15 to 15, and of five in a row at most one is not 0. */
static void signed_digits(int8_t digit[DIGITS], const struct p256_number *v)
{
	unsigned carry = 0, at = 0;

	memset(digit, 0, DIGITS);
	while (at < DIGITS) {
		unsigned bits = 0;

		for (unsigned i = at; i < at + 5 && i < 256; i++) {
			bits |= (v->word[i / 32] >> i % 32 & 1) << (i - at);
		}
		if ((bits & 1) == carry) {
			at++;
			continue;
		}
		bits += carry;
		carry = bits > 15;
		digit[at] = (int8_t)(carry ? (int)bits - 32 : (int)bits);
		at += 5;
	}
}

/* p, 3 * p, 5 * p .. 15 * p */
static void odd_multiples(struct p256_point table[ODD], const struct p256_affine *p)
{
	struct p256_point twice;

	table[0] = (struct p256_point){ p->x, p->y, p256_one };
	twice = table[0];
	double_point(&twice);
	for (unsigned i = 1; i < ODD; i++) {
		table[i] = table[i - 1];
		add_public(&table[i], &twice.x, &twice.y, &twice.z);
	}
}

void p256_point_multiply_both(struct p256_point *r, const struct p256_number *u, const struct p256_number *v,
			      const struct p256_affine *q)
{
	static const struct p256_number zero;
	struct p256_point multiples[ODD];
	int8_t digits[DIGITS];

	odd_multiples(multiples, q);
	signed_digits(digits, v);
	memset(r, 0, sizeof *r);
	for (unsigned at = DIGITS; at-- > 0;) {
		double_point(r);
		if (digits[at] != 0) {
			const struct p256_point *const multiple =
				&multiples[(digits[at] < 0 ? -digits[at] : digits[at]) / 2];
			struct p256_number y = multiple->y;

			if (digits[at] < 0) {
				p256_field_subtract(&y, &zero, &y);
			}
			add_public(r, &multiple->x, &y, &multiple->z);
		}
		for (unsigned half = 0; half < 2 && at < 32; half++) {
			const unsigned digit = comb_digit(u, at + 32 * half);

			if (digit != 0) {
				add_public(r, &p256_comb[half][digit - 1].x, &p256_comb[half][digit - 1].y, NULL);
			}
		}
	}
}
