/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MCUboot images (docs/design.md of MCUboot; written by imgtool): header, payload, protected TLVs, TLVs.
 *
 * The bytes are not trusted. Nothing here but mcuboot_verify() says that an image is genuine.
 */
#ifndef MCUBOOT_IMAGE_H
#define MCUBOOT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MCUBOOT_NAME_MAX 15u

enum mcuboot_status {
	MCUBOOT_OK = 0,
	MCUBOOT_BLANK,         /* nothing there: all zero or all ones where the header would be */
	MCUBOOT_BAD_FORMAT,    /* magic, sizes, flags or TLVs are wrong */
	MCUBOOT_NO_HASH,
	MCUBOOT_BAD_HASH,      /* the SHA-256 TLV is not the content's digest */
	MCUBOOT_NO_KEY_HASH,
	MCUBOOT_WRONG_KEY,     /* signed by a key other than the one trusted */
	MCUBOOT_NO_SIGNATURE,
	MCUBOOT_BAD_SIGNATURE,
	MCUBOOT_NO_COUNTER,
	MCUBOOT_ROLLED_BACK,   /* security counter lower than the one the device has seen */
	MCUBOOT_COUNTER_NOT_KEPT, /* genuine, but the device has no room for its security counter */
	MCUBOOT_BAD_PAYLOAD,      /* genuine, but not what it is to be used for */
};

struct mcuboot_image {
	const uint8_t *payload;
	uint32_t payload_size;
	uint32_t total_size;      /* header to the last TLV */
	uint32_t signed_size;     /* header, payload, protected TLVs: what the hash covers */
	uint8_t version_major, version_minor;
	uint16_t version_revision;
	uint32_t security_counter;
	bool has_security_counter;
	char name[MCUBOOT_NAME_MAX + 1u]; /* custom TLV 0x00A0; "" without one */
	const uint8_t *hash;      /* 32 bytes; NULL: no such TLV */
	const uint8_t *key_hash;  /* 32 bytes; NULL: no such TLV */
	const uint8_t *signature; /* DER; NULL: no such TLV */
	uint32_t signature_size;
};

/* A key that may sign: 0x04 || x || y, and the SHA-256 of its DER SubjectPublicKeyInfo. */
struct mcuboot_key {
	uint8_t point[65];
	uint8_t hash[32];
};

/*
 * Find the parts of the image at slot[0..size). MCUBOOT_OK, MCUBOOT_BLANK or MCUBOOT_BAD_FORMAT; fills in `image` only
 * with MCUBOOT_OK. Images with flags, load address, several signatures or repeated TLVs are not accepted.
 */
enum mcuboot_status mcuboot_parse(const uint8_t *slot, size_t size, struct mcuboot_image *image);

/* Digest, key, signature, security counter, in this order. */
enum mcuboot_status mcuboot_verify(const uint8_t *slot, const struct mcuboot_image *image,
				   const struct mcuboot_key *key, uint32_t lowest_counter);

/* MCUBOOT_OK, MCUBOOT_NO_COUNTER or MCUBOOT_ROLLED_BACK. */
enum mcuboot_status mcuboot_check_counter(const struct mcuboot_image *image, uint32_t lowest_counter);

const char *mcuboot_status_text(enum mcuboot_status status);

#endif
