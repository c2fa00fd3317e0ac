/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Protected Storage API 1.0 (IHI 0087): objects in memory outside of the chip, encrypted and authenticated, that
 * cannot be rolled back. Uids are per client. The functions work on both sides of the boundary.
 */
#ifndef PSA_PROTECTED_STORAGE_H
#define PSA_PROTECTED_STORAGE_H

#include "psa/storage_common.h"

#define PSA_PS_API_VERSION_MAJOR 1
#define PSA_PS_API_VERSION_MINOR 0

/* Largest object, in bytes. */
#define PS_MAX_OBJECT_SIZE 256u

/* TF-M's message types (tfm_ps_defs.h). */
#define TFM_PS_SET 1001      /* [uid, data, uint32_t flags] -> [] */
#define TFM_PS_GET 1002      /* [uid, uint32_t offset] -> [data] */
#define TFM_PS_GET_INFO 1003 /* [uid] -> [struct psa_storage_info_t] */
#define TFM_PS_REMOVE 1004   /* [uid] -> [] */

/*
 * All return PSA_ERROR_INVALID_SIGNATURE where what is stored is not what this device stored last under that uid, and
 * PSA_ERROR_BAD_STATE where the device has no identity. On return of PSA_SUCCESS a change is stored for good; a reset in
 * the middle leaves the object as it was.
 */
psa_status_t psa_ps_set(psa_storage_uid_t uid, size_t data_length, const void *p_data,
			psa_storage_create_flags_t create_flags);
psa_status_t psa_ps_get(psa_storage_uid_t uid, size_t data_offset, size_t data_size, void *p_data,
			size_t *p_data_length);
psa_status_t psa_ps_get_info(psa_storage_uid_t uid, struct psa_storage_info_t *p_info);
psa_status_t psa_ps_remove(psa_storage_uid_t uid);

#endif
