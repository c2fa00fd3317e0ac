/* SPDX-License-Identifier: Apache-2.0 */
#include "der.h"

#include <string.h>

void der_init(struct der_out *out, uint8_t *buf, size_t size)
{
	out->buf = buf;
	out->size = size;
	out->at = size;
	out->overflow = false;
}

void der_put_raw(struct der_out *out, const void *data, size_t len)
{
	if (out->overflow || len > out->at) {
		out->overflow = true;
		return;
	}
	out->at -= len;
	if (len != 0) {
		memcpy(out->buf + out->at, data, len);
	}
}

size_t der_mark(const struct der_out *out)
{
	return out->size - out->at;
}

void der_wrap(struct der_out *out, enum der_tag tag, size_t mark)
{
	size_t len = der_mark(out) - mark;
	uint8_t head[1 + 1 + sizeof(size_t)];
	size_t n = 0;

	head[n++] = (uint8_t)tag;
	if (len < 128) {
		head[n++] = (uint8_t)len;
	} else {
		unsigned bytes = 1;

		while (bytes < sizeof(size_t) && len >> (8 * bytes) != 0) {
			bytes++;
		}
		head[n++] = (uint8_t)(0x80u | bytes);
		while (bytes-- > 0) {
			head[n++] = (uint8_t)(len >> (8 * bytes));
		}
	}
	der_put_raw(out, head, n);
}

void der_put(struct der_out *out, enum der_tag tag, const void *data, size_t len)
{
	size_t mark = der_mark(out);

	der_put_raw(out, data, len);
	der_wrap(out, tag, mark);
}

void der_put_unsigned(struct der_out *out, const uint8_t *data, size_t len)
{
	static const uint8_t zero = 0;
	size_t mark = der_mark(out);

	while (len > 1 && *data == 0) {
		data++;
		len--;
	}
	der_put_raw(out, data, len);
	if (len == 0 || (*data & 0x80) != 0) {
		der_put_raw(out, &zero, 1);
	}
	der_wrap(out, DER_INTEGER, mark);
}

void der_wrap_bit_string(struct der_out *out, size_t mark)
{
	static const uint8_t no_unused_bits = 0;

	der_put_raw(out, &no_unused_bits, 1);
	der_wrap(out, DER_BIT_STRING, mark);
}
