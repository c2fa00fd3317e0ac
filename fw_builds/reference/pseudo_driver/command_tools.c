/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

void put_text_pair(struct cbor_out *out, const char *key, const char *text)
{
	cbor_put_text(out, key);
	cbor_put_text(out, text);
}

void put_uint_pair(struct cbor_out *out, const char *key, uint64_t value)
{
	cbor_put_text(out, key);
	cbor_put_uint(out, value);
}

void put_bytes_pair(struct cbor_out *out, const char *key, const void *data, size_t len)
{
	cbor_put_text(out, key);
	cbor_put_bytes(out, data, len);
}
