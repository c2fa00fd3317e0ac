/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <string.h>

#include "bearssl_hash.h"
#include "bytes.h"
#include "key_derivation.h"
#include "log.h"
#include "memory_map.h"
#include "nv.h"
#include "psa_manifest/pid.h"
#include "sha256.h"
#include "spe_version.h"
#include "trusted_key.h"

#define ENTROPY_MAGIC 0x454D4654u /* "TFME" */
#define ENTROPY_OFFSET 8u
#define BOOT_COUNT_UID 1u

/* In internal trusted storage: which cold boot this is, and how often it was reset since. */
struct boot_record {
	uint8_t entropy_digest[32];
	uint32_t count;
};

const struct mcuboot_key device_trusted_key = { .point = TRUSTED_KEY_POINT, .hash = TRUSTED_KEY_HASH };

extern uint8_t __text_start[], __text_end[], __data_load[], __data_start[], __data_end[], __veneers_start[],
	__veneers_end[];

static struct device this_device;

struct device *device(void)
{
	return &this_device;
}

bool device_may_sign(void)
{
	return this_device.otp_state == OTP_OK && this_device.has_entropy;
}

/* The file bytes of secure.elf's segments, in ascending order of address (secure.ld). */
static void measure_spe(struct measurement *spe)
{
	br_sha256_context context;

	br_sha256_init(&context);
	br_sha256_update(&context, __text_start, (size_t)(__text_end - __text_start));
	br_sha256_update(&context, __data_load, (size_t)(__data_end - __data_start));
	br_sha256_update(&context, __veneers_start, (size_t)(__veneers_end - __veneers_start));
	br_sha256_out(&context, spe->digest);
	strcpy(spe->version, SPE_VERSION);
}

static uint32_t count_boot(const uint8_t *entropy_area)
{
	struct boot_record record, stored;
	size_t len = 0;

	memset(&record, 0, sizeof record);
	sha256(entropy_area, 64, record.entropy_digest);
	if (its_get(nv_store(), TFM_SP_PLATFORM, BOOT_COUNT_UID, 0, sizeof stored, &stored, &len) == PSA_SUCCESS &&
	    len == sizeof stored && memcmp(stored.entropy_digest, record.entropy_digest, 32) == 0) {
		record.count = stored.count + 1u;
	}
	(void)its_set(nv_store(), TFM_SP_PLATFORM, BOOT_COUNT_UID, &record, sizeof record, PSA_STORAGE_FLAG_NONE);
	return record.count;
}

static void seed_boot(struct device *d)
{
	const uint8_t *const area = (const uint8_t *)ENTROPY_BASE;

	d->boot_count = count_boot(area);
	d->has_entropy = get_le32(area) == ENTROPY_MAGIC;
	if (!d->has_entropy) {
		spe_log("SPE", "no entropy: no boot seed, signing refused");
		return;
	}
	derive_boot_seed(area + ENTROPY_OFFSET, d->boot_count, d->boot_seed);
	derive_random_seed(area + ENTROPY_OFFSET, d->boot_count, d->random_seed);
}

void device_init(void)
{
	struct device *const d = &this_device;

	d->otp_state = otp_parse((const uint8_t *)OTP_BASE, &d->otp);
	if (d->otp_state == OTP_OK) {
		spe_log("SPE", "OTP ok, lifecycle %x", (unsigned int)d->otp.lifecycle);
	} else {
		spe_log("SPE", "OTP %s: no identity, signing refused", otp_state_text(d->otp_state));
	}
	seed_boot(d);
	measure_spe(&d->spe);
	memcpy(d->spe.signer, d->otp_state == OTP_OK ? d->otp.nspe_key_hash : device_trusted_key.hash, 32);
	spe_log("SPE", "boot %u of this board since power on", (unsigned int)(d->boot_count + 1u));
	spe_log_bytes("SPE", "measurement ", d->spe.digest, sizeof d->spe.digest);
}

static char *put_number(char *at, uint32_t value)
{
	if (value >= 10) {
		at = put_number(at, value / 10);
	}
	*at++ = (char)('0' + value % 10);
	return at;
}

void device_format_version(char text[16], const struct mcuboot_image *image)
{
	char *at = put_number(text, image->version_major); /* at most "255.255.65535" */

	*at++ = '.';
	at = put_number(at, image->version_minor);
	*at++ = '.';
	at = put_number(at, image->version_revision);
	*at = '\0';
}
