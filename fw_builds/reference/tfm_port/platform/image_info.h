/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version and hash of an image that the boot loader has verified, read from where it stands in flash.
 */
#ifndef IMAGE_INFO_H
#define IMAGE_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image_info {
	uint8_t major, minor;
	uint16_t revision;
	uint8_t sha256[32]; /* the SHA256 TLV */
};

/* False: no MCUboot image in flash[0..size), or one without that TLV. */
bool image_info_read(const uint8_t *flash, size_t size, struct image_info *info);

#endif
