/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "commands.h"
#include "driver_features.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "tfm_model_store_api.h"

static psa_status_t call(int32_t type, const psa_invec *in, size_t in_len, psa_outvec *out, size_t out_len)
{
	return psa_call(TFM_MODEL_STORE_SERVICE_HANDLE, type, in, in_len, out, out_len);
}

static void put_name_and_id(struct cbor_out *out, const struct model_store_info *info)
{
	cbor_put_map(out, 2);
	put_text_pair(out, "name", info->name);
	put_bytes_pair(out, "mid", info->id, sizeof(info->id));
}

/* models */

#if DRIVER_HAS_MODELS

static void put_model(struct cbor_out *out, const struct model_store_info *info)
{
	cbor_put_map(out, 8);
	put_uint_pair(out, "slot", info->slot);
	put_text_pair(out, "name", info->name);
	put_bytes_pair(out, "id", info->id, info->status == PSA_SUCCESS ? sizeof(info->id) : 0);
	put_text_pair(out, "ver", info->version);
	put_uint_pair(out, "cnt", info->security_counter);
	put_uint_pair(out, "len", info->length);
	put_uint_pair(out, "st", (uint64_t)(-(int64_t)info->status));
	cbor_put_text(out, "act");
	cbor_put_bool(out, info->active != 0);
}

static int32_t models(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	static struct model_store_info info[MODEL_STORE_SLOTS];
	psa_outvec out_vec[] = { { info, sizeof(info) } };
	psa_status_t status = call(TFM_MODEL_STORE_LIST, NULL, 0, out_vec, 1);

	(void)context;
	(void)values;
	if (status != PSA_SUCCESS) {
		return status;
	}
	const size_t count = out_vec[0].len / sizeof(info[0]);

	cbor_put_map(out, 1);
	cbor_put_text(out, "models");
	cbor_put_array(out, count);
	for (size_t i = 0; i < count; i++) {
		put_model(out, &info[i]);
	}
	return SMP_ERR_OK;
}

#endif

/* model-select and model-activate: bytes that choose an image in, the model that is active now out */

static int32_t make_active(int32_t type, const struct cbor_value *value, struct cbor_out *out)
{
	struct model_store_info info;
	const psa_invec in_vec[] = { { value->data, value->len } };
	psa_outvec out_vec[] = { { &info, sizeof(info) } };
	psa_status_t status = call(type, in_vec, 1, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	put_name_and_id(out, &info);
	return SMP_ERR_OK;
}

#if DRIVER_HAS_MODELS
static const struct cbor_field select_fields[] = { { "name", CBOR_TYPE_TEXT, true } };

static int32_t model_select(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	return make_active(TFM_MODEL_STORE_SELECT, &values[0], out);
}

#endif

#if DRIVER_HAS_UPDATE
static const struct cbor_field activate_fields[] = { { "sha", CBOR_TYPE_BYTES, true } };

static int32_t model_activate(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	if (values[0].len != sizeof(((struct model_store_chunk *)0)->sha256)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	return make_active(TFM_MODEL_STORE_ACTIVATE, &values[0], out);
}

/* model-upload */

enum { UPLOAD_OFFSET, UPLOAD_DATA, UPLOAD_LENGTH, UPLOAD_SHA };
static const struct cbor_field upload_fields[] = {
	{ "off", CBOR_TYPE_UINT, true },
	{ "data", CBOR_TYPE_BYTES, true },
	{ "len", CBOR_TYPE_UINT, false },
	{ "sha", CBOR_TYPE_BYTES, false },
};

static bool upload_chunk(const struct cbor_value *values, struct model_store_chunk *chunk)
{
	const struct cbor_value *sha = &values[UPLOAD_SHA];
	const bool first = values[UPLOAD_OFFSET].number == 0;

	memset(chunk, 0, sizeof(*chunk));
	if (values[UPLOAD_OFFSET].number > UINT32_MAX || values[UPLOAD_LENGTH].number > UINT32_MAX ||
	    values[UPLOAD_LENGTH].present != first || sha->present != first ||
	    (first && sha->len != sizeof(chunk->sha256))) {
		return false;
	}
	chunk->offset = (uint32_t)values[UPLOAD_OFFSET].number;
	chunk->total = (uint32_t)values[UPLOAD_LENGTH].number;
	if (first) {
		memcpy(chunk->sha256, sha->data, sha->len);
	}
	return true;
}

static int32_t model_upload(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	struct model_store_chunk chunk;
	uint32_t next;

	(void)context;
	if (!upload_chunk(values, &chunk)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	const psa_invec in_vec[] = {
		{ &chunk, sizeof(chunk) },
		{ values[UPLOAD_DATA].data, values[UPLOAD_DATA].len },
	};
	psa_outvec out_vec[] = { { &next, sizeof(next) } };
	psa_status_t status = call(TFM_MODEL_STORE_UPLOAD, in_vec, 2, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 1);
	put_uint_pair(out, "off", next);
	return SMP_ERR_OK;
}

#endif

static const struct smp_command commands[] = {
#if DRIVER_HAS_MODELS
	COMMAND_WITHOUT_FIELDS(SMP_GROUP_INFERENCE, 12, SMP_READ, models),
	COMMAND(SMP_GROUP_INFERENCE, 13, SMP_WRITE, model_select, select_fields),
#endif
#if DRIVER_HAS_UPDATE
	COMMAND(SMP_GROUP_INFERENCE, 14, SMP_WRITE, model_upload, upload_fields),
	COMMAND(SMP_GROUP_INFERENCE, 15, SMP_WRITE, model_activate, activate_fields),
#endif
};

const struct smp_command_table model_commands = COMMAND_TABLE(commands);
