/* SPDX-License-Identifier: Apache-2.0 */
#include "image_report.h"

#include "log.h"

/* The first four bytes of a key hash, as people compare them. */
static unsigned int short_hash(const uint8_t hash[32])
{
	return (unsigned int)hash[0] << 24 | (unsigned int)hash[1] << 16 | (unsigned int)hash[2] << 8 | hash[3];
}

void image_report(const char *tag, const char *what, enum mcuboot_status status, const struct mcuboot_image *image,
		  const struct mcuboot_key *key, uint32_t lowest_counter)
{
	spe_log(tag, "%s refused: %s", what, mcuboot_status_text(status));
	if (status == MCUBOOT_ROLLED_BACK) {
		spe_log(tag, "%s: security counter %u, this device has seen %u", what,
			(unsigned int)image->security_counter, (unsigned int)lowest_counter);
	}
	if (status == MCUBOOT_WRONG_KEY && image->key_hash != NULL) {
		spe_log(tag, "%s: key hash %x..., trusted %x...", what, short_hash(image->key_hash),
			short_hash(key->hash));
	}
}
