/* SPDX-License-Identifier: Apache-2.0 */
#include "decimal.h"

#include <string.h>

#define SIGNIFICAND_BITS 24u
#define EXPONENT_BIAS 150 /* of the significand as an integer */
#define MOST_WHOLE UINT64_C(1000000000000)

size_t decimal_uint(char *text, uint64_t value)
{
	char digits[DECIMAL_ROOM];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	for (size_t i = 0; i < count; i++) {
		text[i] = digits[count - 1 - i];
	}
	text[count] = '\0';
	return count;
}

/* value / 2^shift, ties to even. */
static uint64_t shift_right(uint64_t value, uint32_t shift)
{
	if (shift == 0) {
		return value;
	}
	if (shift > 63) {
		return 0;
	}
	const uint64_t rest = value & ((UINT64_C(1) << shift) - 1), half = UINT64_C(1) << (shift - 1);
	const uint64_t whole = value >> shift;

	return whole + (rest > half || (rest == half && (whole & 1) != 0) ? 1 : 0);
}

bool decimal_scaled(char *text, uint32_t scale_bits, int32_t difference)
{
	const uint32_t biased = scale_bits >> 23;
	uint64_t value = (scale_bits & 0x7fffffu) | 0x800000u;
	int32_t exponent = (int32_t)biased - EXPONENT_BIAS;
	uint32_t extra = 0;

	if (biased == 0 || biased > 254 || difference > UINT16_MAX || difference < -UINT16_MAX) {
		return false;
	}
	value *= (uint32_t)(difference < 0 ? -difference : difference);
	while (value >> extra >= UINT64_C(1) << SIGNIFICAND_BITS) {
		extra++;
	}
	value = shift_right(value, extra); /* the product in single precision */
	exponent += (int32_t)extra;
	value *= 1000;
	if (exponent >= 0) {
		if (exponent > 20) {
			return value == 0;
		}
		value <<= exponent;
	} else {
		value = shift_right(value, (uint32_t)-exponent);
	}
	if (value > MOST_WHOLE) {
		return false;
	}
	if (difference < 0) {
		*text++ = '-';
	}
	text += decimal_uint(text, value / 1000);
	*text++ = '.';
	*text++ = (char)('0' + value / 100 % 10);
	*text++ = (char)('0' + value / 10 % 10);
	*text++ = (char)('0' + value % 10);
	*text = '\0';
	return true;
}

/* A head of CBOR (RFC 8949, section 3) with its argument; false where it does not fit or has no definite length. */
static bool head(const uint8_t *buf, size_t len, size_t *at, uint8_t *major, uint64_t *argument)
{
	if (*at >= len) {
		return false;
	}
	const uint8_t first = buf[(*at)++], size = first & 31u;
	uint32_t bytes = 0;

	*major = first >> 5;
	*argument = size;
	if (size >= 24) {
		if (size > 27) {
			return false;
		}
		bytes = 1u << (size - 24);
		*argument = 0;
	}
	if (bytes > len - *at) {
		return false;
	}
	while (bytes-- > 0) {
		*argument = *argument << 8 | buf[(*at)++];
	}
	return true;
}

/* Step over one item that is no map and holds no map. */
static bool skip(const uint8_t *buf, size_t len, size_t *at)
{
	uint64_t left = 1;

	while (left > 0) {
		uint8_t major;
		uint64_t argument;

		if (!head(buf, len, at, &major, &argument) || major == 5) {
			return false;
		}
		left--;
		if (major == 2 || major == 3) {
			if (argument > len - *at) {
				return false;
			}
			*at += (size_t)argument;
		} else if (major == 4) {
			if (argument > len || left > len) {
				return false;
			}
			left += argument;
		} else if (major == 6) {
			left++;
		}
	}
	return true;
}

/* [[data, "int8", shape, scale, zero point]] */
static bool read_output(const uint8_t *buf, size_t len, size_t at, struct signed_output *output)
{
	uint8_t major;
	uint64_t argument;

	if (!head(buf, len, &at, &major, &argument) || major != 4 || argument != 1 ||
	    !head(buf, len, &at, &major, &argument) || major != 4 || argument != 5 ||
	    !head(buf, len, &at, &major, &argument) || major != 2 || argument > len - at) {
		return false;
	}
	output->data = (const int8_t *)buf + at;
	output->len = (size_t)argument;
	at += output->len;
	if (!skip(buf, len, &at) || !skip(buf, len, &at) || len - at < 5 || buf[at] != 0xfau) {
		return false;
	}
	at++;
	output->scale_bits = 0;
	for (uint32_t i = 0; i < 4; i++) {
		output->scale_bits = output->scale_bits << 8 | buf[at++];
	}
	if (!head(buf, len, &at, &major, &argument) || major > 1 || argument > INT16_MAX) {
		return false;
	}
	output->zero_point = major == 0 ? (int32_t)argument : -1 - (int32_t)argument;
	return true;
}

bool signed_output_find(const uint8_t *message, size_t len, struct signed_output *output)
{
	const uint64_t label_outputs = 70003; /* as a negative integer: -70004 */
	size_t at = 0;
	uint8_t major;
	uint64_t argument;

	/* 18([protected, {}, payload, signature]) */
	if (!head(message, len, &at, &major, &argument) || major != 6 || !head(message, len, &at, &major, &argument) ||
	    major != 4 || argument != 4 || !skip(message, len, &at) || !head(message, len, &at, &major, &argument) ||
	    major != 5 || argument != 0 || !head(message, len, &at, &major, &argument) || major != 2 ||
	    argument > len - at) {
		return false;
	}
	const uint8_t *payload = message + at;
	const size_t size = (size_t)argument;
	uint64_t pairs;

	at = 0;
	if (!head(payload, size, &at, &major, &pairs) || major != 5) {
		return false;
	}
	while (pairs-- > 0) {
		if (!head(payload, size, &at, &major, &argument) || major > 1) {
			return false;
		}
		if (major == 1 && argument == label_outputs) {
			return read_output(payload, size, at, output);
		}
		if (!skip(payload, size, &at)) {
			return false;
		}
	}
	return false;
}
