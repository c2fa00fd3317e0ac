/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DER encoder (X.690) that writes from the buffer's end to its beginning: contents first, then their head, so that
 * every length is known when it is written. What is put last stands first.
 */
#ifndef DER_H
#define DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum der_tag {
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT_0 = 0xa0,
};

struct der_out {
	uint8_t *buf;
	size_t size;
	size_t at; /* the encoding is buf[at..size) */
	bool overflow;
};

void der_init(struct der_out *out, uint8_t *buf, size_t size);

void der_put_raw(struct der_out *out, const void *data, size_t len);

/* Head for everything put since the encoding had `mark` = der_mark() bytes. */
size_t der_mark(const struct der_out *out);
void der_wrap(struct der_out *out, enum der_tag tag, size_t mark);

void der_put(struct der_out *out, enum der_tag tag, const void *data, size_t len);

/* A non-negative integer of `len` big-endian bytes, without needless leading zeros. */
void der_put_unsigned(struct der_out *out, const uint8_t *data, size_t len);

/* The wrapping of a BIT STRING whose contents (a whole number of bytes) were put since `mark`. */
void der_wrap_bit_string(struct der_out *out, size_t mark);

#endif
