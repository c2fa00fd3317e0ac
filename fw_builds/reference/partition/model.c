/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <string.h>

#include "identity.h"
#include "nn_check.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "tfm_memory_sections.h"
#include "tfm_model_store_api.h"

static SECTION_MODEL uint8_t model_bytes[MODEL_STORE_SLOT_SIZE];
static SECTION_ARENA uint8_t arena[NN_CHECK_ARENA_SIZE];
static struct model loaded;
static uint32_t loaded_generation;
static bool is_loaded;

static psa_status_t get_active(struct model_store_info *info)
{
	psa_outvec out[] = { { info, sizeof(*info) } };

	return psa_call(TFM_MODEL_STORE_SERVICE_HANDLE, TFM_MODEL_STORE_GET_ACTIVE, NULL, 0, out, 1);
}

static psa_status_t read_active(size_t expected)
{
	psa_outvec out[] = { { model_bytes, sizeof(model_bytes) } };
	psa_status_t status = psa_call(TFM_MODEL_STORE_SERVICE_HANDLE, TFM_MODEL_STORE_READ_ACTIVE, NULL, 0, out, 1);

	return status == PSA_SUCCESS && out[0].len != expected ? PSA_ERROR_DATA_INVALID : status;
}

/* The store verified what lies in external memory; what will run is this copy. */
static psa_status_t check_copy(const struct model_store_info *info)
{
	uint8_t digest[RESULT_HASH_SIZE];
	psa_status_t status = identity_hash(model_bytes, info->length, digest);

	if (status != PSA_SUCCESS) {
		return status;
	}
	return memcmp(digest, info->id, sizeof(digest)) == 0 ? PSA_SUCCESS : PSA_ERROR_INVALID_SIGNATURE;
}

static bool describe_output(void)
{
	struct nn_tensor_info info;

	loaded.input = nn_input(&loaded.nn, &loaded.input_size);
	loaded.output.data = nn_output(&loaded.nn, &loaded.output.len);
	if (!nn_output_info(&loaded.nn, &info) || loaded.input_size == 0 || loaded.output.len == 0) {
		return false;
	}
	loaded.output.rank = info.rank;
	loaded.output.scale = info.scale;
	loaded.output.zero_point = info.zero_point;
	memcpy(loaded.output.shape, info.shape, sizeof(loaded.output.shape));
	return true;
}

/* Make the copy ready to run. */
static bool prepare(size_t len)
{
	return nn_model_init(&loaded.nn, model_bytes, len, arena, sizeof(arena)) == NN_OK && describe_output();
}

static psa_status_t load(const struct model_store_info *info)
{
	psa_status_t status = read_active(info->length);

	if (status == PSA_SUCCESS) {
		status = check_copy(info);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	if (!prepare(info->length)) {
		return PSA_ERROR_DATA_INVALID;
	}
	memcpy(loaded.name, info->name, sizeof(loaded.name));
	loaded.name[sizeof(loaded.name) - 1] = '\0';
	memcpy(loaded.id, info->id, sizeof(loaded.id));
	return PSA_SUCCESS;
}

psa_status_t model_get(const struct model **model)
{
	struct model_store_info info;
	psa_status_t status = get_active(&info);

	*model = NULL;
	if (status != PSA_SUCCESS) {
		is_loaded = false;
		return status;
	}
	if (!is_loaded || loaded_generation != info.generation) {
		is_loaded = false;
		status = load(&info);
		if (status != PSA_SUCCESS) {
			return status;
		}
		is_loaded = true;
		loaded_generation = info.generation;
	}
	*model = &loaded;
	return PSA_SUCCESS;
}

psa_status_t model_run(const struct model *model)
{
	return model == &loaded && nn_model_invoke(&loaded.nn) == NN_OK ? PSA_SUCCESS : PSA_ERROR_GENERIC_ERROR;
}

void model_observe(nn_observer *observer, void *ctx)
{
	nn_set_observer(&loaded.nn, observer, ctx);
}
