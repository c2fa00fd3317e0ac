/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The platform service: reset, what the device is, and which violations were caught.
 *
 * Names and message types follow TF-M's platform service; the ioctl requests are this platform's. No function here is called
 * like one of TF-M's, so that this header and tfm_platform_api.h go together. The functions work on both sides of the boundary.
 */
#ifndef DEVICE_IOCTL_H
#define DEVICE_IOCTL_H

#include <stdint.h>

#include "psa/error.h"

/* TF-M's numbers (tfm_platform_api.h). */
#define TFM_PLATFORM_API_ID_SYSTEM_RESET (1012) /* no vectors; does not return */
#define TFM_PLATFORM_API_ID_IOCTL (1013) /* in[0] uint32_t request; out[0] the structure */

enum tfm_platform_ioctl {
	TFM_PLATFORM_IOCTL_DEVICE_INFO = 1, /* out[0] struct tfm_platform_device_info */
	TFM_PLATFORM_IOCTL_FAULTS = 2,      /* out[0] struct tfm_platform_faults */
};

/* Of a platform that does not count its boots. */
#define TFM_PLATFORM_BOOT_COUNT_UNKNOWN 0xffffffffu

enum otp_state { OTP_OK = 0, OTP_EMPTY = 1, OTP_CORRUPT = 2 };

struct tfm_platform_device_info {
	uint32_t lifecycle;           /* PSA security lifecycle claim value */
	uint32_t otp;                 /* enum otp_state */
	uint32_t boot_count;          /* boots since the cold boot, 0 for the first; ..._UNKNOWN */
	uint32_t counter_hz;          /* of the SSE system counter */
	uint32_t has_boot_seed;       /* 0: no entropy was provided */
	uint32_t has_identity;        /* 0: no keys, uuid, instance id: OTP empty or corrupt */
	uint8_t boot_seed[32];
	uint8_t spe_measurement[32];
	uint8_t nspe_measurement[32]; /* SHA-256 TLV of the running image */
	uint8_t uuid[16];
	uint8_t instance_id[33];
	char spe_version[16];
	char nspe_version[16];
	char attest_profile[43];
};

#define TFM_PLATFORM_FAULTS_KEPT 8u

enum fault_type {
	FAULT_SECURE = 1,
	FAULT_BUS,
	FAULT_MEM_MANAGE,
	FAULT_USAGE,
	FAULT_HARD,
	FAULT_PPC, /* a peripheral protection controller saw it: the access read as zero or was ignored */
};

struct tfm_platform_fault {
	uint32_t type;        /* enum fault_type */
	uint32_t pc;
	uint32_t nonsecure;   /* 1: non-secure code did it */
	uint32_t cfsr, sfsr;
	uint32_t has_address; /* the hardware gave one */
	uint32_t address;
	uint32_t ppc;         /* SECPPCINTSTAT: which controller saw it */
};

struct tfm_platform_faults {
	uint32_t total; /* since boot */
	uint32_t kept;  /* entries below */
	struct tfm_platform_fault last[TFM_PLATFORM_FAULTS_KEPT]; /* newest first */
};

psa_status_t tfm_platform_device_info(struct tfm_platform_device_info *info);
psa_status_t tfm_platform_faults(struct tfm_platform_faults *faults);

/* Reset the device; returns only when it was refused. */
psa_status_t device_ioctl_reset(void);

#endif
