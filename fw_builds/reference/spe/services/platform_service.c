/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The platform service.
 */
#include <string.h>

#include "attest_profile.h"
#include "builtin_keys.h"
#include "device.h"
#include "fault.h"
#include "key_derivation.h"
#include "log.h"
#include "memory_map.h"
#include "services.h"
#include "target_cfg.h"
#include "device_ioctl.h"

_Static_assert(sizeof ATTEST_PROFILE_NAME <= sizeof(((struct tfm_platform_device_info *)0)->attest_profile), "profile");

static psa_status_t put(const psa_msg_t *msg, const void *data, size_t len)
{
	if (msg->out_size[0] < len) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_write(msg->handle, 0, data, len);
	return PSA_SUCCESS;
}

static psa_status_t device_info(const psa_msg_t *msg)
{
	const struct device *const d = device();
	struct tfm_platform_device_info info;

	memset(&info, 0, sizeof info);
	info.lifecycle = d->otp.lifecycle;
	info.otp = (uint32_t)d->otp_state;
	info.boot_count = d->boot_count;
	info.counter_hz = COUNTER_HZ_VALUE;
	info.has_boot_seed = d->has_entropy ? 1 : 0;
	memcpy(info.boot_seed, d->boot_seed, sizeof info.boot_seed);
	memcpy(info.spe_measurement, d->spe.digest, sizeof info.spe_measurement);
	memcpy(info.nspe_measurement, d->nspe.digest, sizeof info.nspe_measurement);
	memcpy(info.spe_version, d->spe.version, sizeof info.spe_version);
	memcpy(info.nspe_version, d->nspe.version, sizeof info.nspe_version);
	strcpy(info.attest_profile, ATTEST_PROFILE_NAME);
	if (d->otp_state == OTP_OK && builtin_instance_id(info.instance_id) == PSA_SUCCESS) {
		info.has_identity = 1;
		derive_uuid(d->otp.huk, info.uuid);
	}
	return put(msg, &info, sizeof info);
}

static psa_status_t faults(const psa_msg_t *msg)
{
	struct tfm_platform_faults snapshot;

	fault_snapshot(&snapshot);
	return put(msg, &snapshot, sizeof snapshot);
}

static psa_status_t ioctl(const psa_msg_t *msg)
{
	uint32_t request;

	if (msg->in_size[0] != sizeof request) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	(void)psa_read(msg->handle, 0, &request, sizeof request);
	switch (request) {
	case TFM_PLATFORM_IOCTL_DEVICE_INFO:
		return device_info(msg);
	case TFM_PLATFORM_IOCTL_FAULTS:
		return faults(msg);
	default:
		return PSA_ERROR_NOT_SUPPORTED;
	}
}

psa_status_t tfm_platform_service_sfn(const psa_msg_t *msg)
{
	switch (msg->type) {
	case TFM_PLATFORM_API_ID_SYSTEM_RESET:
		spe_log("SPE", "reset requested");
		target_reset();
	case TFM_PLATFORM_API_ID_IOCTL:
		return ioctl(msg);
	default:
		return PSA_ERROR_NOT_SUPPORTED;
	}
}
