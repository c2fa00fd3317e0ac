/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict decoding of one CBOR map with text keys: a request of the wire protocol.
 *
 * Accepted: definite lengths and shortest heads only (RFC 8949, section 4.2.1); keys that the schema names, each at
 * most once; values of the type the schema gives. Everything else, trailing bytes included, is refused. Nothing is
 * copied and nothing is allocated: strings point into the request.
 */
#ifndef CBOR_DECODE_H
#define CBOR_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cbor_type {
	CBOR_TYPE_UINT,
	CBOR_TYPE_INT,   /* -2^63 .. 2^63-1 */
	CBOR_TYPE_BYTES,
	CBOR_TYPE_TEXT,  /* valid UTF-8, without NUL */
	CBOR_TYPE_PAIRS, /* array of [uint, uint], each below 2^32 */
};

struct cbor_field {
	const char *key;
	enum cbor_type type;
	bool required;
};

struct cbor_pair {
	uint32_t first;
	uint32_t second;
};

#define CBOR_MAX_PAIRS 8u

/* What stood at a field. `number` for UINT (and INT as two's complement), `data`/`len` for strings. */
struct cbor_value {
	bool present;
	uint64_t number;
	const uint8_t *data;
	size_t len;
	struct cbor_pair pair[CBOR_MAX_PAIRS]; /* `len` of them */
};

/* Decode exactly buf[0..len) by the schema; values[i] belongs to fields[i]. False: refused, values are undefined. */
bool cbor_decode_map(const uint8_t *buf, size_t len, const struct cbor_field *fields, size_t field_count,
		     struct cbor_value *values);

/* Whether a text value is `text`. */
bool cbor_value_is(const struct cbor_value *value, const char *text);

#endif
