/* SPDX-License-Identifier: Apache-2.0 */
#include "mcuboot_image.h"

#include <string.h>

#include "bytes.h"
#include "ecdsa.h"
#include "fih.h"
#include "sha256.h"

#define IMAGE_MAGIC 0x96F3B83Du
#define TLV_INFO_MAGIC 0x6907u
#define TLV_PROT_INFO_MAGIC 0x6908u
#define HEADER_SIZE 32u
#define TLV_INFO_SIZE 4u
#define TLV_HEAD_SIZE 4u

enum tlv_type {
	TLV_KEYHASH = 0x01,
	TLV_SHA256 = 0x10,
	TLV_ECDSA_SIG = 0x22,
	TLV_SEC_CNT = 0x50,
	TLV_MODEL_NAME = 0xA0, /* in the range that MCUboot leaves to vendors (0x??A0..0x??FE) */
};

struct header {
	uint16_t header_size, protected_tlv_size;
	uint32_t image_size;
};

static enum mcuboot_status parse_header(const uint8_t *slot, size_t size, struct header *header,
					struct mcuboot_image *image)
{
	if (size < HEADER_SIZE) {
		return MCUBOOT_BAD_FORMAT;
	}
	const uint32_t magic = get_le32(slot);

	if (magic == 0 || magic == UINT32_MAX) {
		return MCUBOOT_BLANK;
	}
	const uint32_t load_address = get_le32(slot + 4), flags = get_le32(slot + 16);

	header->header_size = get_le16(slot + 8);
	header->protected_tlv_size = get_le16(slot + 10);
	header->image_size = get_le32(slot + 12);
	if (magic != IMAGE_MAGIC || load_address != 0 || flags != 0 || header->header_size < HEADER_SIZE ||
	    header->header_size > size || header->image_size > size - header->header_size) {
		return MCUBOOT_BAD_FORMAT;
	}
	image->payload = slot + header->header_size;
	image->payload_size = header->image_size;
	image->version_major = slot[20];
	image->version_minor = slot[21];
	image->version_revision = get_le16(slot + 22);
	return MCUBOOT_OK;
}

static bool take_name(const uint8_t *value, size_t len, struct mcuboot_image *image)
{
	if (image->name[0] != '\0' || len == 0 || len > MCUBOOT_NAME_MAX) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (value[i] <= 0x20 || value[i] > 0x7E) {
			return false;
		}
	}
	memcpy(image->name, value, len);
	return true;
}

static bool take_protected(uint16_t type, const uint8_t *value, size_t len, struct mcuboot_image *image)
{
	switch (type) {
	case TLV_SEC_CNT:
		if (image->has_security_counter || len != 4) {
			return false;
		}
		image->security_counter = get_le32(value);
		image->has_security_counter = true;
		return true;
	case TLV_MODEL_NAME:
		return take_name(value, len, image);
	default:
		return true; /* signed, and of no meaning here */
	}
}

static bool take_unprotected(uint16_t type, const uint8_t *value, size_t len, struct mcuboot_image *image)
{
	switch (type) {
	case TLV_SHA256:
		if (image->hash != NULL || len != SHA256_SIZE) {
			return false;
		}
		image->hash = value;
		return true;
	case TLV_KEYHASH:
		if (image->key_hash != NULL || len != SHA256_SIZE) {
			return false;
		}
		image->key_hash = value;
		return true;
	case TLV_ECDSA_SIG:
		if (image->signature != NULL || len == 0 || len > ECDSA_DER_MAX) {
			return false;
		}
		image->signature = value;
		image->signature_size = (uint32_t)len;
		return true;
	default:
		return false; /* neither signed nor understood */
	}
}

typedef bool tlv_taker(uint16_t type, const uint8_t *value, size_t len, struct mcuboot_image *image);

/* The TLV area at slot[offset..size), `magic` at its start; its length, or 0 when anything is wrong with it. */
static size_t parse_area(const uint8_t *slot, size_t offset, size_t size, uint16_t magic, tlv_taker *take,
			 struct mcuboot_image *image)
{
	if (size - offset < TLV_INFO_SIZE || get_le16(slot + offset) != magic) {
		return 0;
	}
	const size_t total = get_le16(slot + offset + 2);

	if (total < TLV_INFO_SIZE || total > size - offset) {
		return 0;
	}
	size_t at = TLV_INFO_SIZE;

	while (at < total) {
		const uint8_t *const tlv = slot + offset + at;

		if (total - at < TLV_HEAD_SIZE) {
			return 0;
		}
		const size_t len = get_le16(tlv + 2);

		if (len > total - at - TLV_HEAD_SIZE || !take(get_le16(tlv), tlv + TLV_HEAD_SIZE, len, image)) {
			return 0;
		}
		at += TLV_HEAD_SIZE + len;
	}
	return total;
}

DECISION enum mcuboot_status mcuboot_parse(const uint8_t *slot, size_t size, struct mcuboot_image *out)
{
	struct header header;
	struct mcuboot_image image;

	memset(&image, 0, sizeof image);
	const enum mcuboot_status status = parse_header(slot, size, &header, &image);

	if (status != MCUBOOT_OK) {
		return status;
	}
	size_t at = (size_t)header.header_size + header.image_size;

	if (header.protected_tlv_size != 0) {
		const size_t len = parse_area(slot, at, size, TLV_PROT_INFO_MAGIC, take_protected, &image);

		if (len != header.protected_tlv_size) {
			return MCUBOOT_BAD_FORMAT;
		}
		at += len;
	}
	image.signed_size = (uint32_t)at;
	const size_t len = parse_area(slot, at, size, TLV_INFO_MAGIC, take_unprotected, &image);

	if (len == 0) {
		return MCUBOOT_BAD_FORMAT;
	}
	image.total_size = (uint32_t)(at + len);
	*out = image;
	return MCUBOOT_OK;
}

static enum mcuboot_status verify_signature(const struct mcuboot_image *image, const struct mcuboot_key *key,
					    const uint8_t digest[SHA256_SIZE])
{
	uint8_t signature[ECDSA_SIGNATURE_SIZE];

	if (image->key_hash == NULL) {
		return MCUBOOT_NO_KEY_HASH;
	}
	if (memcmp(image->key_hash, key->hash, SHA256_SIZE) != 0) {
		return MCUBOOT_WRONG_KEY;
	}
	if (image->signature == NULL) {
		return MCUBOOT_NO_SIGNATURE;
	}
	if (!ecdsa_signature_from_der(image->signature, image->signature_size, signature) ||
	    !ecdsa_verify(key->point, digest, signature)) {
		return MCUBOOT_BAD_SIGNATURE;
	}
	return MCUBOOT_OK;
}

DECISION enum mcuboot_status mcuboot_check_counter(const struct mcuboot_image *image, uint32_t lowest_counter)
{
	if (!image->has_security_counter) {
		return MCUBOOT_NO_COUNTER;
	}
	if (image->security_counter < lowest_counter) {
		return MCUBOOT_ROLLED_BACK;
	}
	return MCUBOOT_OK;
}

DECISION enum mcuboot_status mcuboot_verify(const uint8_t *slot, const struct mcuboot_image *image,
					    const struct mcuboot_key *key, uint32_t lowest_counter)
{
	uint8_t digest[SHA256_SIZE];

	if (image->hash == NULL) {
		return MCUBOOT_NO_HASH;
	}
	sha256(slot, image->signed_size, digest);
	if (memcmp(image->hash, digest, SHA256_SIZE) != 0) {
		return MCUBOOT_BAD_HASH;
	}
	const enum mcuboot_status status = verify_signature(image, key, digest);

	if (status != MCUBOOT_OK) {
		return status;
	}
	return mcuboot_check_counter(image, lowest_counter);
}

const char *mcuboot_status_text(enum mcuboot_status status)
{
	static const char *const texts[] = {
		[MCUBOOT_OK] = "ok",
		[MCUBOOT_BLANK] = "no image",
		[MCUBOOT_BAD_FORMAT] = "not an MCUboot image, or a damaged one",
		[MCUBOOT_NO_HASH] = "no SHA-256",
		[MCUBOOT_BAD_HASH] = "SHA-256 does not match the content",
		[MCUBOOT_NO_KEY_HASH] = "not signed (no key hash)",
		[MCUBOOT_WRONG_KEY] = "signed with another key",
		[MCUBOOT_NO_SIGNATURE] = "not signed (no signature)",
		[MCUBOOT_BAD_SIGNATURE] = "signature does not verify",
		[MCUBOOT_NO_COUNTER] = "no security counter",
		[MCUBOOT_ROLLED_BACK] = "rolled back (security counter too low)",
		[MCUBOOT_COUNTER_NOT_KEPT] = "its security counter cannot be stored",
		[MCUBOOT_BAD_PAYLOAD] = "signed, but not a model that the interpreter takes",
	};

	return (unsigned)status < sizeof texts / sizeof texts[0] ? texts[status] : "unknown";
}
