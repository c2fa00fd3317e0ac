/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ioctl requests of device_ioctl.h, answered in TF-M's platform partition: what the device is. A violation makes TF-M
 * reset, so there are none to report.
 */
#include <string.h>

#include "derive.h"
#include "device_ioctl.h"
#include "devices.h"
#include "image_info.h"
#include "region_defs.h"
#include "tfm_attest_hal.h"
#include "tfm_plat_boot_seed.h"
#include "tfm_platform_system.h"

/* The linker sends calls of tfm_platform_hal_ioctl() to the first; the second is the platform's own function. */
enum tfm_platform_err_t __wrap_tfm_platform_hal_ioctl(tfm_platform_ioctl_req_t request, psa_invec *in_vec,
						      psa_outvec *out_vec);
enum tfm_platform_err_t __real_tfm_platform_hal_ioctl(tfm_platform_ioctl_req_t request, psa_invec *in_vec,
						      psa_outvec *out_vec);

static void put_number(char **at, unsigned number)
{
	if (number >= 10u) {
		put_number(at, number / 10u);
	}
	*(*at)++ = (char)('0' + number % 10u);
}

/* major.minor.revision and the hash; where there is no readable image both stay empty. */
static void put_image(const uint8_t *flash, size_t size, char version[16], uint8_t measurement[32])
{
	struct image_info image;
	char *at = version;

	if (!image_info_read(flash, size, &image)) {
		return;
	}
	put_number(&at, image.major);
	*at++ = '.';
	put_number(&at, image.minor);
	*at++ = '.';
	put_number(&at, image.revision);
	*at = '\0';
	memcpy(measurement, image.sha256, sizeof(image.sha256));
}

static void get_device_info(struct tfm_platform_device_info *info)
{
	uint32_t profile_size = sizeof(info->attest_profile) - 1u;

	memset(info, 0, sizeof(*info));
	info->lifecycle = (uint32_t)tfm_attest_hal_get_security_lifecycle();
	info->otp = OTP_OK;
	info->counter_hz = COUNTER_HZ;
	/* VENDOR: boots since the last cold boot, if your platform counts them. TF-M does not. */
	info->boot_count = TFM_PLATFORM_BOOT_COUNT_UNKNOWN;
	info->has_boot_seed = tfm_plat_get_boot_seed(sizeof(info->boot_seed), info->boot_seed) == TFM_PLAT_ERR_SUCCESS;
	info->has_identity = derive_uuid(info->uuid);
	(void)tfm_attest_hal_get_profile_definition(&profile_size, (uint8_t *)info->attest_profile);
	/* VENDOR: where the images stand; each side's own view, since the MPC refuses the other one. */
	put_image((const uint8_t *)(S_CODE_START - BL2_HEADER_SIZE), FLASH_S_PARTITION_SIZE, info->spe_version,
		  info->spe_measurement);
	put_image((const uint8_t *)(NS_CODE_START - BL2_HEADER_SIZE), FLASH_NS_PARTITION_SIZE, info->nspe_version,
		  info->nspe_measurement);
}

static enum tfm_platform_err_t put(psa_outvec *out_vec, const void *data, size_t len)
{
	if (out_vec == NULL || out_vec->len < len) {
		return TFM_PLATFORM_ERR_INVALID_PARAM;
	}
	memcpy(out_vec->base, data, len);
	out_vec->len = len;
	return TFM_PLATFORM_ERR_SUCCESS;
}

enum tfm_platform_err_t __wrap_tfm_platform_hal_ioctl(tfm_platform_ioctl_req_t request, psa_invec *in_vec,
						      psa_outvec *out_vec)
{
	static struct tfm_platform_device_info info;
	static const struct tfm_platform_faults no_faults;

	switch (request) {
	case TFM_PLATFORM_IOCTL_DEVICE_INFO:
		get_device_info(&info);
		return put(out_vec, &info, sizeof(info));
	case TFM_PLATFORM_IOCTL_FAULTS:
		return put(out_vec, &no_faults, sizeof(no_faults));
	default:
		return __real_tfm_platform_hal_ioctl(request, in_vec, out_vec);
	}
}
