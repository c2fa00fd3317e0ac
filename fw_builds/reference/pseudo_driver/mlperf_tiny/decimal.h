/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as text without floating point, and the output tensor of a signed result.
 */
#ifndef DECIMAL_H
#define DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECIMAL_ROOM 24u

/* `value` in decimal digits and a NUL into text[0..DECIMAL_ROOM); the number of digits. */
size_t decimal_uint(char *text, uint64_t value);

/*
 * scale * difference, rounded to single precision, with three decimals, ties to even: what printf("%0.3f") makes of it.
 * `scale_bits` are the bits of a positive, normal float32. False: it is something else, or the number is too large.
 */
bool decimal_scaled(char *text, uint32_t scale_bits, int32_t difference);

struct signed_output {
	const int8_t *data;
	size_t len;
	uint32_t scale_bits;
	int32_t zero_point;
};

/* The output tensor in a result as the inference service signs it (COSE_Sign1, docs/protocol.md); false: none. */
bool signed_output_find(const uint8_t *message, size_t len, struct signed_output *output);

#endif
