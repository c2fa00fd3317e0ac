/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CBOR encoder (RFC 8949, deterministic encoding of section 4.2.1: shortest heads, definite lengths;
 * the caller gives map keys in the order it wants them).
 *
 * Writes past the end of the buffer are not made; they set `overflow`, to be looked at once at the end.
 */
#ifndef CBOR_ENCODE_H
#define CBOR_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cbor_out {
	uint8_t *buf;
	size_t size;
	size_t used;
	bool overflow;
};

void cbor_out_init(struct cbor_out *out, uint8_t *buf, size_t size);

void cbor_put_uint(struct cbor_out *out, uint64_t value);
void cbor_put_int(struct cbor_out *out, int64_t value);
void cbor_put_bool(struct cbor_out *out, bool value);
void cbor_put_bytes(struct cbor_out *out, const void *data, size_t len);
void cbor_put_text(struct cbor_out *out, const char *text);
void cbor_put_text_n(struct cbor_out *out, const void *text, size_t len);
void cbor_put_array(struct cbor_out *out, size_t items);
void cbor_put_map(struct cbor_out *out, size_t pairs);
void cbor_put_tag(struct cbor_out *out, uint64_t tag);

/* A single-precision float, as its 4 bytes; never shortened to half precision. */
void cbor_put_float32(struct cbor_out *out, float value);

/*
 * Start a byte string whose length is known only later: at most `max` bytes may be written at the pointer
 * returned (NULL: does not fit). cbor_end_bytes() makes it a byte string of `len` bytes with the shortest head.
 */
uint8_t *cbor_begin_bytes(struct cbor_out *out, size_t max);
void cbor_end_bytes(struct cbor_out *out, size_t len);

/* Bytes that are CBOR already. */
void cbor_put_raw(struct cbor_out *out, const void *data, size_t len);

#endif
