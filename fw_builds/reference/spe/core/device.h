/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this device is, in this boot: OTP, entropy, boot seed, measurements.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "mcuboot_image.h"
#include "otp.h"

/* A measured part of the software: its digest, who signed it, and its version "major.minor.revision". */
struct measurement {
	uint8_t digest[32];
	uint8_t signer[32];
	char version[16];
};

struct device {
	enum otp_state otp_state;
	struct otp otp; /* all zero unless otp_state is OTP_OK */
	bool has_entropy;
	uint32_t boot_count;
	uint8_t boot_seed[32];
	uint8_t random_seed[32]; /* secret: for the random bit generator */
	struct measurement spe, nspe;
};

extern const struct mcuboot_key device_trusted_key; /* built in; OTP says whether it is the provisioned one */

/* Read OTP and entropy, count the boot, measure the SPE. The NV store must be mounted. */
void device_init(void);

struct device *device(void);

/* Keys may sign: there is an identity, and this boot can be told from others. */
bool device_may_sign(void);

/* Format a version for struct measurement and the services. */
void device_format_version(char text[16], const struct mcuboot_image *image);

#endif
