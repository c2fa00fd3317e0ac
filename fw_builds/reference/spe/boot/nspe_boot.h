/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verified boot of the non-secure image.
 */
#ifndef NSPE_BOOT_H
#define NSPE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "fih.h"

struct nspe_entry {
	uint32_t vectors, msp, reset;
};

/* False: refused, and the secure log says why. */
bool nspe_verify(struct nspe_entry *entry, struct measurement *measurement);

/* FIH_YES: all of it holds again, for this entry and this measurement. Looks at the image anew, to be asked last. */
fih_t nspe_confirm(const struct nspe_entry *entry, const struct measurement *measurement);

/* The built-in key under the hash that OTP provisions for it; the built-in hash where OTP has none. */
struct mcuboot_key nspe_provisioned_key(const uint8_t otp_hash[32]);

#endif
