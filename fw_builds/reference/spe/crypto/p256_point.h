/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points of P-256. A point (x, y, z) stands for (x / z^2, y / z^3), each coordinate in Montgomery form; z is 0 at infinity.
 */
#ifndef P256_POINT_H
#define P256_POINT_H

#include "p256_field.h"

struct p256_affine {
	struct p256_number x, y;
};

struct p256_point {
	struct p256_number x, y, z;
};

/* Big-endian x and y; false when they are no point of the curve. */
bool p256_point_from_bytes(struct p256_affine *point, const uint8_t bytes[2 * P256_SIZE]);

/* x and y as plain numbers. */
void p256_point_to_affine(struct p256_affine *affine, const struct p256_point *point);

/* k * G for k in 1..n-1, in the same time for each k. */
void p256_point_multiply_generator(struct p256_point *r, const struct p256_number *k);

/* u * G + v * Q; the time depends on all of them, which are public. */
void p256_point_multiply_both(struct p256_point *r, const struct p256_number *u, const struct p256_number *v,
			      const struct p256_affine *q);

#endif
