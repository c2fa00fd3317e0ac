/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OTP area, layout version 1 (docs/protocol.md).
 */
#ifndef OTP_H
#define OTP_H

#include <stdint.h>

#include "device_ioctl.h"

#define OTP_SIZE 256u
#define OTP_HUK_SIZE 32u
#define OTP_CERT_REFERENCE_SIZE 20u
#define OTP_VSI_SIZE 60u

struct otp {
	uint32_t lifecycle;
	uint8_t huk[OTP_HUK_SIZE];
	uint8_t implementation_id[32];
	char certification_reference[OTP_CERT_REFERENCE_SIZE + 1u]; /* "": not set */
	char verification_service[OTP_VSI_SIZE + 1u];               /* "": not set */
	uint8_t nspe_key_hash[32];
	uint8_t model_key_hash[32];
};

/* Read and check the area. `otp` is all zero unless OTP_OK is returned. */
enum otp_state otp_parse(const uint8_t area[OTP_SIZE], struct otp *otp);

const char *otp_state_text(enum otp_state state);

#endif
