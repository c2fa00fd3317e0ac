/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TF-M's client libraries have this function; here it is for images without TF-M.
 */
#include "device_ioctl.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"

psa_status_t tfm_platform_system_reset(void)
{
	return psa_call(TFM_PLATFORM_SERVICE_HANDLE, TFM_PLATFORM_API_ID_SYSTEM_RESET, NULL, 0, NULL, 0);
}
