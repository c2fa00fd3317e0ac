/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "commands.h"
#include "input_commands.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "tfm_inference_defs.h"

static psa_status_t call(int32_t type, const psa_invec *in, size_t in_len, psa_outvec *out, size_t out_len)
{
	return psa_call(TFM_INFERENCE_SERVICE_HANDLE, type, in, in_len, out, out_len);
}

/* sample */

enum { SAMPLE_MODE, SAMPLE_PERIOD };
static const struct cbor_field sample_fields[] = {
	{ "mode", CBOR_TYPE_TEXT, true },
	{ "ms", CBOR_TYPE_UINT, false },
};

static bool sample_request(const struct cbor_value *values, struct tfm_inference_sample *request)
{
	static const struct {
		const char *name;
		enum tfm_inference_sample_mode mode;
	} modes[] = {
		{ "step", TFM_INFERENCE_SAMPLE_STEP },
		{ "free", TFM_INFERENCE_SAMPLE_FREE },
		{ "stop", TFM_INFERENCE_SAMPLE_STOP },
		{ "clear", TFM_INFERENCE_SAMPLE_CLEAR },
	};

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		if (cbor_value_is(&values[SAMPLE_MODE], modes[i].name)) {
			request->mode = modes[i].mode;
			request->period_ms = (uint32_t)values[SAMPLE_PERIOD].number;
			/* a period belongs to "free", and only there */
			return values[SAMPLE_PERIOD].present == (modes[i].mode == TFM_INFERENCE_SAMPLE_FREE) &&
			       values[SAMPLE_PERIOD].number <= UINT32_MAX;
		}
	}
	return false;
}

static int32_t sample(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	struct tfm_inference_sample request;
	struct tfm_inference_sample_state state;
	psa_outvec out_vec[] = { { &state, sizeof(state) } };

	(void)context;
	if (!sample_request(values, &request)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_invec in_vec[] = { { &request, sizeof(request) } };
	psa_status_t status = call(TFM_INFERENCE_SAMPLE, in_vec, 1, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 3);
	put_uint_pair(out, "st", state.status);
	put_uint_pair(out, "n", state.count);
	put_uint_pair(out, "seq", state.taken);
	return SMP_ERR_OK;
}

/* infer */

enum { INFER_NONCE, INFER_SOURCE, INFER_INPUT, INFER_MODEL, INFER_UPLOADED, INFER_ENCRYPTED };
static const struct cbor_field infer_fields[] = {
	{ "nonce", CBOR_TYPE_BYTES, true }, { "src", CBOR_TYPE_UINT, true }, { "in", CBOR_TYPE_BYTES, false },
	{ "mid", CBOR_TYPE_BYTES, false },  { "up", CBOR_TYPE_UINT, false }, { "enc", CBOR_TYPE_UINT, false },
};

static bool infer_request(const struct cbor_value *values, struct tfm_inference_run *request)
{
	const struct cbor_value *nonce = &values[INFER_NONCE], *mid = &values[INFER_MODEL];
	const bool input = values[INFER_INPUT].present || values[INFER_UPLOADED].present;

	memset(request, 0, sizeof(*request));
	if (values[INFER_SOURCE].number > TFM_INFERENCE_SOURCE_HOST || nonce->len < TFM_INFERENCE_NONCE_MIN ||
	    nonce->len > sizeof(request->nonce) || (mid->present && mid->len != sizeof(request->model_id)) ||
	    input != (values[INFER_SOURCE].number == TFM_INFERENCE_SOURCE_HOST) || values[INFER_ENCRYPTED].number > 1) {
		return false;
	}
	request->source = (uint32_t)values[INFER_SOURCE].number;
	request->nonce_len = (uint32_t)nonce->len;
	memcpy(request->nonce, nonce->data, nonce->len);
	request->expect_model = mid->present;
	if (mid->present) {
		memcpy(request->model_id, mid->data, mid->len);
	}
	return true;
}

static int32_t infer(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	struct tfm_inference_phases phases;
	struct tfm_inference_run request;

	if (!infer_request(values, &request)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_invec in_vec[] = { { &request, sizeof(request) }, { NULL, 0 } };
	psa_status_t status = input_of(&values[INFER_INPUT], &values[INFER_UPLOADED], &in_vec[1]);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 2);
	cbor_put_text(out, "res");
	uint8_t *result = cbor_begin_bytes(out, TFM_INFERENCE_RESULT_MAX);
	psa_outvec out_vec[] = { { result, TFM_INFERENCE_RESULT_MAX }, { &phases, sizeof(phases) } };
	const int32_t type = values[INFER_ENCRYPTED].number == 1 ? TFM_INFERENCE_RUN_ENCRYPTED : TFM_INFERENCE_RUN;

	status = call(type, in_vec, 2, out_vec, 2);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	const uint64_t ticks[] = {
		context->received, phases.entered,    phases.input_ready, phases.start,
		phases.end,        phases.sign_start, phases.sign_end,    ticks_now(),
	};

	cbor_put_text(out, "ph");
	cbor_put_array(out, COUNT_OF(ticks));
	for (size_t i = 0; i < COUNT_OF(ticks); i++) {
		cbor_put_uint(out, ticks[i]);
	}
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND(SMP_GROUP_INFERENCE, 1, SMP_WRITE, sample, sample_fields),
	COMMAND(SMP_GROUP_INFERENCE, 2, SMP_WRITE, infer, infer_fields),
};

const struct smp_command_table inference_commands = COMMAND_TABLE(commands);
