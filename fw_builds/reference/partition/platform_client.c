/* SPDX-License-Identifier: Apache-2.0 */
#include "platform_client.h"

#include <string.h>

#include "device_ioctl.h"

psa_status_t platform_boot_seed(uint8_t seed[PLATFORM_BOOT_SEED_SIZE])
{
	struct tfm_platform_device_info info;
	psa_status_t status = tfm_platform_device_info(&info);

	if (status == PSA_SUCCESS && !info.has_boot_seed) {
		status = PSA_ERROR_BAD_STATE;
	}
	if (status == PSA_SUCCESS) {
		memcpy(seed, info.boot_seed, PLATFORM_BOOT_SEED_SIZE);
	}
	return status;
}

psa_status_t platform_uuid(uint8_t uuid[PLATFORM_UUID_SIZE])
{
	struct tfm_platform_device_info info;
	psa_status_t status = tfm_platform_device_info(&info);

	if (status == PSA_SUCCESS && !info.has_identity) {
		status = PSA_ERROR_BAD_STATE;
	}
	if (status == PSA_SUCCESS) {
		memcpy(uuid, info.uuid, PLATFORM_UUID_SIZE);
	}
	return status;
}

psa_status_t platform_lifecycle(uint32_t *lifecycle)
{
	struct tfm_platform_device_info info;
	psa_status_t status = tfm_platform_device_info(&info);

	if (status == PSA_SUCCESS) {
		*lifecycle = info.lifecycle;
	}
	return status;
}
