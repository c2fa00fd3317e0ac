/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services of this build.
 */
#include "spm.h"

#include "psa_manifest/pid.h"
#include "psa_manifest/sid.h"
#include "psa/service.h"
#include "psa_manifest/tfm_inference.h"
#include "services.h"

const struct spm_service spm_services[] = {
	{ TFM_ATTESTATION_SERVICE_SID, TFM_ATTESTATION_SERVICE_HANDLE, TFM_ATTESTATION_SERVICE_VERSION,
	  TFM_SP_INITIAL_ATTESTATION, true, tfm_attestation_service_sfn },
	{ TFM_PLATFORM_SERVICE_SID, TFM_PLATFORM_SERVICE_HANDLE, TFM_PLATFORM_SERVICE_VERSION, TFM_SP_PLATFORM, true,
	  tfm_platform_service_sfn },
	{ TFM_INFERENCE_SERVICE_SID, TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_SERVICE_VERSION, TFM_SP_INFERENCE,
	  true, tfm_inference_service_sfn },
	{ TFM_MODEL_STORE_SERVICE_SID, TFM_MODEL_STORE_SERVICE_HANDLE, TFM_MODEL_STORE_SERVICE_VERSION,
	  TFM_SP_MODEL_STORE, true, tfm_model_store_service_sfn },
	{ TFM_PROTECTED_STORAGE_SERVICE_SID, TFM_PROTECTED_STORAGE_SERVICE_HANDLE,
	  TFM_PROTECTED_STORAGE_SERVICE_VERSION, TFM_SP_PS, true, tfm_ps_service_sfn },
};

const unsigned spm_service_count = sizeof spm_services / sizeof spm_services[0];
