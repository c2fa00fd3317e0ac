/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service ids, versions and stateless handles, as TF-M's manifest tool lays them out: handle = bit 30,
 * version in bits 8..15, index in bits 0..4.
 */
#ifndef PSA_MANIFEST_SID_H
#define PSA_MANIFEST_SID_H

/* PSA Initial Attestation */
#define TFM_ATTESTATION_SERVICE_SID (0x00000020U)
#define TFM_ATTESTATION_SERVICE_VERSION (1U)
#define TFM_ATTESTATION_SERVICE_HANDLE (0x40000103)

/* Platform */
#define TFM_PLATFORM_SERVICE_SID (0x00000040U)
#define TFM_PLATFORM_SERVICE_VERSION (1U)
#define TFM_PLATFORM_SERVICE_HANDLE (0x40000104)

/* PSA Protected Storage */
#define TFM_PROTECTED_STORAGE_SERVICE_SID (0x00000060U)
#define TFM_PROTECTED_STORAGE_SERVICE_VERSION (1U)
#define TFM_PROTECTED_STORAGE_SERVICE_HANDLE (0x40000101)

/* Inference (fw_builds/reference/partition) */
#define TFM_INFERENCE_SERVICE_SID (0x00000140U)
#define TFM_INFERENCE_SERVICE_VERSION (1U)
#define TFM_INFERENCE_SERVICE_HANDLE (0x40000105)

/* Model store */
#define TFM_MODEL_STORE_SERVICE_SID (0x00000141U)
#define TFM_MODEL_STORE_SERVICE_VERSION (1U)
#define TFM_MODEL_STORE_SERVICE_HANDLE (0x40000106)

#endif
