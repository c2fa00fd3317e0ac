/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this firmware's platform answers by ioctl, for both sides of the boundary. TF-M has a function of its own for
 * its own requests only: these go through psa_call(), so that they work there, too.
 */
#include "device_ioctl.h"

#include "psa/client.h"
#include "psa_manifest/sid.h"

static psa_status_t ioctl(uint32_t request, void *out, size_t size)
{
	const psa_invec in_vec[] = { { &request, sizeof request } };
	psa_outvec out_vec[] = { { out, size } };

	return psa_call(TFM_PLATFORM_SERVICE_HANDLE, TFM_PLATFORM_API_ID_IOCTL, in_vec, 1, out_vec, 1);
}

psa_status_t tfm_platform_device_info(struct tfm_platform_device_info *info)
{
	return ioctl(TFM_PLATFORM_IOCTL_DEVICE_INFO, info, sizeof *info);
}

psa_status_t tfm_platform_faults(struct tfm_platform_faults *faults)
{
	return ioctl(TFM_PLATFORM_IOCTL_FAULTS, faults, sizeof *faults);
}

psa_status_t device_ioctl_reset(void)
{
	return psa_call(TFM_PLATFORM_SERVICE_HANDLE, TFM_PLATFORM_API_ID_SYSTEM_RESET, NULL, 0, NULL, 0);
}
