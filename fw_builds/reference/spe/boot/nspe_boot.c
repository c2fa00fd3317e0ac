/* SPDX-License-Identifier: Apache-2.0 */
#include "nspe_boot.h"

#include <string.h>

#include "bytes.h"
#include "image_report.h"
#include "log.h"
#include "memory_map.h"
#include "psa_manifest/pid.h"
#include "rollback.h"

#define NSPE_SLOT_SIZE 0x100000u
#define NSPE_NAME "NSPE"

struct mcuboot_key nspe_provisioned_key(const uint8_t otp_hash[32])
{
	struct mcuboot_key key = device_trusted_key;

	if (device()->otp_state == OTP_OK) {
		memcpy(key.hash, otp_hash, sizeof key.hash);
	}
	return key;
}

static bool refuse(const char *why)
{
	spe_log("BOOT", "NSPE image refused: %s", why);
	return false;
}

/* Stack pointer in non-secure RAM, reset handler inside the signed payload. */
static bool take_vectors(const struct mcuboot_image *image, struct nspe_entry *entry)
{
	if (image->payload_size < 8) {
		return false;
	}
	entry->vectors = (uint32_t)(uintptr_t)image->payload;
	entry->msp = get_le32(image->payload);
	entry->reset = get_le32(image->payload + 4);
	const uint32_t at = entry->reset & ~1u;

	return (entry->vectors & 0x1FFu) == 0 && (entry->reset & 1u) != 0 && at >= entry->vectors &&
	       at < entry->vectors + image->payload_size && (entry->msp & 7u) == 0 && entry->msp > NS_DATA_BASE &&
	       entry->msp <= NS_DATA_BASE + NS_DATA_SIZE;
}

DECISION static enum mcuboot_status examine(struct mcuboot_image *image, const struct mcuboot_key *key, uint32_t lowest)
{
	const uint8_t *const slot = (const uint8_t *)NS_CODE_BASE;
	enum mcuboot_status status = mcuboot_parse(slot, NSPE_SLOT_SIZE, image);

	if (status == MCUBOOT_OK) {
		status = mcuboot_verify(slot, image, key, lowest);
	}
	return status;
}

/* NULL: a genuine image of this kind that can be started at `entry`; otherwise why not. */
DECISION static const char *why_not(const struct mcuboot_image *image, const struct mcuboot_key *key,
				    struct nspe_entry *entry)
{
	if (memcmp(key->hash, device_trusted_key.hash, sizeof key->hash) != 0) {
		return "OTP provisions another key than the one built in";
	}
	if (image->name[0] != '\0') {
		return "it is a model image";
	}
	if (!take_vectors(image, entry)) {
		return "its vectors point outside its memory";
	}
	return NULL;
}

DECISION bool nspe_verify(struct nspe_entry *entry, struct measurement *measurement)
{
	const struct mcuboot_key key = nspe_provisioned_key(device()->otp.nspe_key_hash);
	const uint32_t lowest = rollback_lowest(TFM_SP_PLATFORM, NSPE_NAME);
	struct mcuboot_image image;
	const enum mcuboot_status status = examine(&image, &key, lowest);

	if (status != MCUBOOT_OK) {
		image_report("BOOT", "NSPE image", status, &image, &key, lowest);
		return false;
	}
	const char *const why = why_not(&image, &key, entry);

	if (why != NULL) {
		return refuse(why);
	}
	if (!rollback_raise(TFM_SP_PLATFORM, NSPE_NAME, image.security_counter)) {
		return refuse("its security counter cannot be stored");
	}
	memcpy(measurement->digest, image.hash, sizeof measurement->digest);
	memcpy(measurement->signer, image.key_hash, sizeof measurement->signer);
	device_format_version(measurement->version, &image);
	spe_log("BOOT", "NSPE image %s verified, security counter %u", measurement->version,
		(unsigned int)image.security_counter);
	return true;
}

DECISION fih_t nspe_confirm(const struct nspe_entry *entry, const struct measurement *measurement)
{
	const struct mcuboot_key key = nspe_provisioned_key(device()->otp.nspe_key_hash);
	struct nspe_entry again;
	struct mcuboot_image image;

	if (examine(&image, &key, rollback_lowest(TFM_SP_PLATFORM, NSPE_NAME)) != MCUBOOT_OK ||
	    why_not(&image, &key, &again) != NULL || memcmp(&again, entry, sizeof again) != 0) {
		return FIH_NO;
	}
	return fih_of(memcmp(image.hash, measurement->digest, sizeof measurement->digest) == 0);
}
