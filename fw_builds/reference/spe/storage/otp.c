/* SPDX-License-Identifier: Apache-2.0 */
#include "otp.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "bytes.h"
#include "sha256.h"

enum {
	OTP_OFF_MAGIC = 0x00,
	OTP_OFF_VERSION = 0x04,
	OTP_OFF_SIZE = 0x06,
	OTP_OFF_LIFECYCLE = 0x08,
	OTP_OFF_RESERVED = 0x0C,
	OTP_OFF_HUK = 0x10,
	OTP_OFF_IMPLEMENTATION_ID = 0x30,
	OTP_OFF_CERT_REFERENCE = 0x50,
	OTP_OFF_VSI = 0x64,
	OTP_OFF_NSPE_KEY = 0xA0,
	OTP_OFF_MODEL_KEY = 0xC0,
	OTP_OFF_DIGEST = 0xE0,
};

#define OTP_MAGIC 0x4F4D4654u /* "TFMO" */
#define OTP_VERSION 1u

#define LIFECYCLE_MAX 0xFFFFu /* RFC 9783, 4.3.1: two bytes */

static bool is_filled_with(const uint8_t *area, uint8_t value)
{
	for (size_t i = 0; i < OTP_SIZE; i++) {
		if (area[i] != value) {
			return false;
		}
	}
	return true;
}

/* Printable ASCII, then NULs to the end of the field. */
static bool take_text(char *to, const uint8_t *field, size_t size)
{
	size_t len = 0;

	while (len < size && field[len] != 0) {
		if (field[len] < 0x20 || field[len] > 0x7E) {
			return false;
		}
		len++;
	}
	for (size_t i = len; i < size; i++) {
		if (field[i] != 0) {
			return false;
		}
	}
	memcpy(to, field, len);
	to[len] = '\0';
	return true;
}

/* "[0-9]{13}-[0-9]{5}" (RFC 9783, 4.2.3), or nothing. */
static bool is_certification_reference(const char *text)
{
	static const char form[] = "0000000000000-00000";

	if (text[0] == '\0') {
		return true;
	}
	for (size_t i = 0; i < sizeof form; i++) {
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i]) {
			return false;
		}
	}
	return true;
}

enum otp_state otp_parse(const uint8_t area[OTP_SIZE], struct otp *otp)
{
	uint8_t digest[SHA256_SIZE];

	memset(otp, 0, sizeof *otp);
	if (is_filled_with(area, 0x00) || is_filled_with(area, 0xFF)) {
		return OTP_EMPTY;
	}
	sha256(area, OTP_OFF_DIGEST, digest);
	if (get_le32(area + OTP_OFF_MAGIC) != OTP_MAGIC || get_le16(area + OTP_OFF_VERSION) != OTP_VERSION ||
	    get_le16(area + OTP_OFF_SIZE) != OTP_SIZE || get_le32(area + OTP_OFF_RESERVED) != 0 ||
	    get_le32(area + OTP_OFF_LIFECYCLE) > LIFECYCLE_MAX ||
	    memcmp(area + OTP_OFF_DIGEST, digest, sizeof digest) != 0) {
		return OTP_CORRUPT;
	}
	if (!take_text(otp->certification_reference, area + OTP_OFF_CERT_REFERENCE, OTP_CERT_REFERENCE_SIZE) ||
	    !take_text(otp->verification_service, area + OTP_OFF_VSI, OTP_VSI_SIZE) ||
	    !is_certification_reference(otp->certification_reference)) {
		memset(otp, 0, sizeof *otp);
		return OTP_CORRUPT;
	}
	otp->lifecycle = get_le32(area + OTP_OFF_LIFECYCLE);
	memcpy(otp->huk, area + OTP_OFF_HUK, sizeof otp->huk);
	memcpy(otp->implementation_id, area + OTP_OFF_IMPLEMENTATION_ID, sizeof otp->implementation_id);
	memcpy(otp->nspe_key_hash, area + OTP_OFF_NSPE_KEY, sizeof otp->nspe_key_hash);
	memcpy(otp->model_key_hash, area + OTP_OFF_MODEL_KEY, sizeof otp->model_key_hash);
	return OTP_OK;
}

const char *otp_state_text(enum otp_state state)
{
	switch (state) {
	case OTP_OK:
		return "ok";
	case OTP_EMPTY:
		return "empty";
	default:
		return "corrupt";
	}
}
