/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian integers in byte buffers of any alignment; digests compared.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In a time that does not depend on where the two differ. */
static inline bool bytes_equal(const void *left, const void *right, size_t len)
{
	const uint8_t *const a = left, *const b = right;
	uint32_t differ = 0;

	for (size_t i = 0; i < len; i++) {
		differ |= (uint32_t)(a[i] ^ b[i]);
	}
	return differ == 0;
}

static inline uint16_t get_le16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t get_le32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void put_le32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
	at[2] = (uint8_t)(value >> 16);
	at[3] = (uint8_t)(value >> 24);
}

#endif
