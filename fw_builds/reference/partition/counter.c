/* SPDX-License-Identifier: Apache-2.0 */
#include "counter.h"

#include "psa/internal_trusted_storage.h"

#define COUNTER_UID ((psa_storage_uid_t)0x7465734c)

static psa_status_t load(uint64_t *value)
{
	size_t len;
	psa_status_t status = psa_its_get(COUNTER_UID, 0, sizeof(*value), value, &len);

	if (status == PSA_ERROR_DOES_NOT_EXIST) {
		*value = 0;
		return PSA_SUCCESS;
	}
	if (status == PSA_SUCCESS && len != sizeof(*value)) {
		return PSA_ERROR_DATA_CORRUPT;
	}
	return status;
}

psa_status_t counter_next(uint64_t *value)
{
	uint64_t current;
	psa_status_t status = load(&current);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (current == UINT64_MAX) {
		return PSA_ERROR_BAD_STATE;
	}
	current++;
	status = psa_its_set(COUNTER_UID, sizeof(current), &current, PSA_STORAGE_FLAG_NONE);
	*value = current;
	return status;
}
