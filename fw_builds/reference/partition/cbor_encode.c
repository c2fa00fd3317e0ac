/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor_encode.h"

#include <string.h>

enum cbor_major {
	CBOR_UINT = 0,
	CBOR_NEGATIVE = 1,
	CBOR_BYTES = 2,
	CBOR_TEXT = 3,
	CBOR_ARRAY = 4,
	CBOR_MAP = 5,
	CBOR_TAG = 6,
	CBOR_SIMPLE = 7,
};

#define SIMPLE_FALSE 20u
#define SIMPLE_TRUE 21u
#define HEAD_FLOAT32 ((CBOR_SIMPLE << 5) | 26u)
#define HEAD_MAX 9u

void cbor_out_init(struct cbor_out *out, uint8_t *buf, size_t size)
{
	out->buf = buf;
	out->size = size;
	out->used = 0;
	out->overflow = false;
}

void cbor_put_raw(struct cbor_out *out, const void *data, size_t len)
{
	if (out->overflow || len > out->size - out->used) {
		out->overflow = true;
		return;
	}
	if (len != 0) {
		memcpy(out->buf + out->used, data, len);
	}
	out->used += len;
}

static size_t head(uint8_t bytes[HEAD_MAX], enum cbor_major major, uint64_t value)
{
	unsigned following = value < 24            ? 0
			     : value <= UINT8_MAX  ? 1
			     : value <= UINT16_MAX ? 2
			     : value <= UINT32_MAX ? 4
						   : 8;
	uint8_t info = following == 0   ? (uint8_t)value
		       : following == 1 ? 24
		       : following == 2 ? 25
		       : following == 4 ? 26
					: 27;

	bytes[0] = (uint8_t)(((unsigned)major << 5) | info);
	for (unsigned i = 0; i < following; i++) {
		bytes[1 + i] = (uint8_t)(value >> (8 * (following - 1 - i)));
	}
	return 1 + following;
}

static void put_head(struct cbor_out *out, enum cbor_major major, uint64_t value)
{
	uint8_t bytes[HEAD_MAX];

	cbor_put_raw(out, bytes, head(bytes, major, value));
}

void cbor_put_uint(struct cbor_out *out, uint64_t value)
{
	put_head(out, CBOR_UINT, value);
}

void cbor_put_int(struct cbor_out *out, int64_t value)
{
	if (value < 0) {
		put_head(out, CBOR_NEGATIVE, (uint64_t)(-1 - value));
	} else {
		put_head(out, CBOR_UINT, (uint64_t)value);
	}
}

void cbor_put_bool(struct cbor_out *out, bool value)
{
	put_head(out, CBOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void cbor_put_bytes(struct cbor_out *out, const void *data, size_t len)
{
	put_head(out, CBOR_BYTES, len);
	cbor_put_raw(out, data, len);
}

void cbor_put_text_n(struct cbor_out *out, const void *text, size_t len)
{
	put_head(out, CBOR_TEXT, len);
	cbor_put_raw(out, text, len);
}

void cbor_put_text(struct cbor_out *out, const char *text)
{
	cbor_put_text_n(out, text, strlen(text));
}

void cbor_put_array(struct cbor_out *out, size_t items)
{
	put_head(out, CBOR_ARRAY, items);
}

void cbor_put_map(struct cbor_out *out, size_t pairs)
{
	put_head(out, CBOR_MAP, pairs);
}

void cbor_put_tag(struct cbor_out *out, uint64_t tag)
{
	put_head(out, CBOR_TAG, tag);
}

void cbor_put_float32(struct cbor_out *out, float value)
{
	uint32_t bits;
	uint8_t bytes[5] = { HEAD_FLOAT32 };

	memcpy(&bits, &value, sizeof(bits));
	for (unsigned i = 0; i < 4; i++) {
		bytes[1 + i] = (uint8_t)(bits >> (24 - 8 * i));
	}
	cbor_put_raw(out, bytes, sizeof(bytes));
}

/* The contents are written where they stand with the largest head a string of `size` bytes can need. */
uint8_t *cbor_begin_bytes(struct cbor_out *out, size_t max)
{
	if (out->overflow || out->size - out->used < HEAD_MAX || max > out->size - out->used - HEAD_MAX) {
		out->overflow = true;
		return NULL;
	}
	return out->buf + out->used + HEAD_MAX;
}

void cbor_end_bytes(struct cbor_out *out, size_t len)
{
	uint8_t bytes[HEAD_MAX];
	size_t head_len = head(bytes, CBOR_BYTES, len);

	if (out->overflow) {
		return;
	}
	if (out->size - out->used < HEAD_MAX || len > out->size - out->used - HEAD_MAX) {
		out->overflow = true;
		return;
	}
	uint8_t *at = out->buf + out->used;

	memmove(at + head_len, at + HEAD_MAX, len);
	memcpy(at, bytes, head_len);
	out->used += head_len + len;
}
