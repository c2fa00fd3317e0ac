/* SPDX-License-Identifier: Apache-2.0 */
#include "cbor_decode.h"

#include <string.h>

enum major { MAJOR_UINT = 0, MAJOR_NEGATIVE = 1, MAJOR_BYTES = 2, MAJOR_TEXT = 3, MAJOR_ARRAY = 4, MAJOR_MAP = 5 };

struct reader {
	const uint8_t *at;
	const uint8_t *end;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* One head: major type and argument, shortest form only. */
static bool read_head(struct reader *r, unsigned *major, uint64_t *argument)
{
	if (left(r) == 0) {
		return false;
	}
	unsigned info = *r->at & 0x1fu;

	*major = *r->at++ >> 5;
	if (info < 24) {
		*argument = info;
		return true;
	}
	if (info > 27) { /* reserved, or indefinite length */
		return false;
	}
	size_t bytes = (size_t)1 << (info - 24);

	if (left(r) < bytes) {
		return false;
	}
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++) {
		value = value << 8 | *r->at++;
	}
	static const uint64_t smallest[] = { 24, UINT64_C(1) << 8, UINT64_C(1) << 16, UINT64_C(1) << 32 };

	if (value < smallest[info - 24]) {
		return false;
	}
	*argument = value;
	return true;
}

static bool read_string(struct reader *r, uint64_t length, const uint8_t **data, size_t *len)
{
	if (length > left(r)) {
		return false;
	}
	*data = r->at;
	*len = (size_t)length;
	r->at += *len;
	return true;
}

/* Well-formed UTF-8 (Unicode table 3-7) without NUL, so that a text can become a C string. */
static bool is_text(const uint8_t *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint8_t lead = s[i++];
		unsigned follow = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
		uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
		uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;

		if (lead == 0 || (lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || len - i < follow) {
			return false;
		}
		for (unsigned k = 0; k < follow; k++, i++) {
			if (s[i] < low || s[i] > high) {
				return false;
			}
			low = 0x80;
			high = 0xbf;
		}
	}
	return true;
}

static bool read_uint32(struct reader *r, uint32_t *value)
{
	unsigned major;
	uint64_t argument;

	if (!read_head(r, &major, &argument) || major != MAJOR_UINT || argument > UINT32_MAX) {
		return false;
	}
	*value = (uint32_t)argument;
	return true;
}

static bool read_pairs(struct reader *r, uint64_t count, struct cbor_value *value)
{
	if (count > CBOR_MAX_PAIRS) {
		return false;
	}
	value->len = (size_t)count;
	for (size_t i = 0; i < value->len; i++) {
		unsigned major;
		uint64_t items;

		if (!read_head(r, &major, &items) || major != MAJOR_ARRAY || items != 2 ||
		    !read_uint32(r, &value->pair[i].first) || !read_uint32(r, &value->pair[i].second)) {
			return false;
		}
	}
	return true;
}

static bool read_value(struct reader *r, enum cbor_type type, struct cbor_value *value)
{
	unsigned major;
	uint64_t argument;

	if (!read_head(r, &major, &argument)) {
		return false;
	}
	switch (type) {
	case CBOR_TYPE_UINT:
		value->number = argument;
		return major == MAJOR_UINT;
	case CBOR_TYPE_INT:
		value->number = major == MAJOR_NEGATIVE ? ~argument : argument;
		return (major == MAJOR_UINT || major == MAJOR_NEGATIVE) && argument <= INT64_MAX;
	case CBOR_TYPE_BYTES:
		return major == MAJOR_BYTES && read_string(r, argument, &value->data, &value->len);
	case CBOR_TYPE_TEXT:
		return major == MAJOR_TEXT && read_string(r, argument, &value->data, &value->len) &&
		       is_text(value->data, value->len);
	case CBOR_TYPE_PAIRS:
		return major == MAJOR_ARRAY && read_pairs(r, argument, value);
	}
	return false;
}

static const struct cbor_field *find(const struct cbor_field *fields, size_t count, const uint8_t *key, size_t len)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(fields[i].key) == len && memcmp(fields[i].key, key, len) == 0) {
			return &fields[i];
		}
	}
	return NULL;
}

bool cbor_decode_map(const uint8_t *buf, size_t len, const struct cbor_field *fields, size_t field_count,
		     struct cbor_value *values)
{
	struct reader r = { buf, buf + len };
	unsigned major;
	uint64_t pairs;

	for (size_t i = 0; i < field_count; i++) {
		memset(&values[i], 0, sizeof(values[i]));
	}
	if (!read_head(&r, &major, &pairs) || major != MAJOR_MAP || pairs > field_count) {
		return false;
	}
	for (uint64_t i = 0; i < pairs; i++) {
		uint64_t key_len;
		const uint8_t *key;
		size_t n;

		if (!read_head(&r, &major, &key_len) || major != MAJOR_TEXT || !read_string(&r, key_len, &key, &n)) {
			return false;
		}
		const struct cbor_field *field = find(fields, field_count, key, n);

		if (field == NULL) {
			return false;
		}
		struct cbor_value *value = &values[field - fields];

		if (value->present || !read_value(&r, field->type, value)) {
			return false;
		}
		value->present = true;
	}
	for (size_t i = 0; i < field_count; i++) {
		if (fields[i].required && !values[i].present) {
			return false;
		}
	}
	return left(&r) == 0;
}

bool cbor_value_is(const struct cbor_value *value, const char *text)
{
	return value->len == strlen(text) && memcmp(value->data, text, value->len) == 0;
}
