/* SPDX-License-Identifier: Apache-2.0 */
#include "nv.h"

#include "log.h"
#include "memory_map.h"
#include "psa/internal_trusted_storage.h"
#include "spm.h"

static struct its_store store;

bool nv_mount(void)
{
	switch (its_mount(&store, (struct its_copy *)NV_ITS_COPY_A, (struct its_copy *)NV_ITS_COPY_B)) {
	case ITS_MOUNTED:
		return true;
	case ITS_BLANK:
		spe_log("SPE", "NV area blank: a new board");
		return true;
	default:
		return false;
	}
}

struct its_store *nv_store(void)
{
	return &store;
}

psa_status_t psa_its_set(psa_storage_uid_t uid, size_t data_length, const void *p_data,
			 psa_storage_create_flags_t create_flags)
{
	return its_set(&store, spm_current_partition(), uid, p_data, data_length, create_flags);
}

psa_status_t psa_its_get(psa_storage_uid_t uid, size_t data_offset, size_t data_size, void *p_data,
			 size_t *p_data_length)
{
	return its_get(&store, spm_current_partition(), uid, data_offset, data_size, p_data, p_data_length);
}

psa_status_t psa_its_get_info(psa_storage_uid_t uid, struct psa_storage_info_t *p_info)
{
	return its_info(&store, spm_current_partition(), uid, p_info);
}

psa_status_t psa_its_remove(psa_storage_uid_t uid)
{
	return its_remove(&store, spm_current_partition(), uid);
}
