/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Protected Storage by psa_call(), for both sides of the boundary.
 */
#include "psa/client.h"
#include "psa/protected_storage.h"
#include "psa_manifest/sid.h"

psa_status_t psa_ps_set(psa_storage_uid_t uid, size_t data_length, const void *p_data,
			psa_storage_create_flags_t create_flags)
{
	const psa_invec in_vec[] = {
		{ &uid, sizeof uid },
		{ p_data, data_length },
		{ &create_flags, sizeof create_flags },
	};

	return psa_call(TFM_PROTECTED_STORAGE_SERVICE_HANDLE, TFM_PS_SET, in_vec, 3, NULL, 0);
}

psa_status_t psa_ps_get(psa_storage_uid_t uid, size_t data_offset, size_t data_size, void *p_data,
			size_t *p_data_length)
{
	const uint32_t offset = (uint32_t)data_offset;
	const psa_invec in_vec[] = { { &uid, sizeof uid }, { &offset, sizeof offset } };
	psa_outvec out_vec[] = { { p_data, data_size } };
	const psa_status_t status = psa_call(TFM_PROTECTED_STORAGE_SERVICE_HANDLE, TFM_PS_GET, in_vec, 2, out_vec, 1);

	if (status == PSA_SUCCESS) {
		*p_data_length = out_vec[0].len;
	}
	return status;
}

psa_status_t psa_ps_get_info(psa_storage_uid_t uid, struct psa_storage_info_t *p_info)
{
	const psa_invec in_vec[] = { { &uid, sizeof uid } };
	psa_outvec out_vec[] = { { p_info, sizeof *p_info } };

	return psa_call(TFM_PROTECTED_STORAGE_SERVICE_HANDLE, TFM_PS_GET_INFO, in_vec, 1, out_vec, 1);
}

psa_status_t psa_ps_remove(psa_storage_uid_t uid)
{
	const psa_invec in_vec[] = { { &uid, sizeof uid } };

	return psa_call(TFM_PROTECTED_STORAGE_SERVICE_HANDLE, TFM_PS_REMOVE, in_vec, 1, NULL, 0);
}
