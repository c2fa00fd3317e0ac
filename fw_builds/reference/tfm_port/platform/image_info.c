/* SPDX-License-Identifier: Apache-2.0 */
#include "image_info.h"

#include <string.h>

/* MCUboot's image format (docs/design.md there): header, payload, protected TLVs, TLVs. */
#define IMAGE_MAGIC 0x96f3b83du
#define HEADER_HEADER_SIZE 8u
#define HEADER_PROTECTED_SIZE 10u
#define HEADER_IMAGE_SIZE 12u
#define HEADER_VERSION 20u
#define HEADER_SIZE 32u
#define TLV_MAGIC 0x6907u
#define TLV_SHA256 0x10u
#define TLV_HEAD 4u

static uint32_t le(const uint8_t *at, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0) {
		value = value << 8 | at[bytes];
	}
	return value;
}

static bool find_sha256(const uint8_t *at, size_t size, uint8_t sha256[32])
{
	if (size < TLV_HEAD || le(at, 2) != TLV_MAGIC || le(at + 2, 2) > size) {
		return false;
	}
	const uint8_t *const end = at + le(at + 2, 2);

	for (at += TLV_HEAD; (size_t)(end - at) >= TLV_HEAD; at += TLV_HEAD + le(at + 2, 2)) {
		const uint32_t len = le(at + 2, 2);

		if (len > (size_t)(end - at) - TLV_HEAD) {
			return false;
		}
		if (le(at, 2) == TLV_SHA256 && len == 32u) {
			memcpy(sha256, at + TLV_HEAD, 32);
			return true;
		}
	}
	return false;
}

bool image_info_read(const uint8_t *flash, size_t size, struct image_info *info)
{
	if (size < HEADER_SIZE || le(flash, 4) != IMAGE_MAGIC) {
		return false;
	}
	const uint64_t tlvs = (uint64_t)le(flash + HEADER_HEADER_SIZE, 2) + le(flash + HEADER_IMAGE_SIZE, 4) +
			      le(flash + HEADER_PROTECTED_SIZE, 2);

	info->major = flash[HEADER_VERSION];
	info->minor = flash[HEADER_VERSION + 1u];
	info->revision = (uint16_t)le(flash + HEADER_VERSION + 2u, 2);
	return tlvs < size && find_sha256(flash + tlvs, size - (size_t)tlvs, info->sha256);
}
