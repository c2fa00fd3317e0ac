/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inference service: a partition of the Secure Function model. Takes messages apart, calls who can do it.
 */
#include <stdbool.h>
#include <string.h>

#include "devices.h"
#include "fih.h"
#include "identity.h"
#include "infer.h"
#include "measure.h"
#include "model.h"
#include "psa/service.h"
#include "psa_manifest/tfm_inference.h"
#include "sampler.h"
#include "tfm_inference_defs.h"

#define INPUT_MAX 32768u

psa_status_t tfm_inference_init(void)
{
	sampler_init();
	return PSA_SUCCESS;
}

/* A fixed-size structure in an input vector. */
static psa_status_t read_exactly(const psa_msg_t *msg, uint32_t vector, void *buffer, size_t size)
{
	if (msg->in_size[vector] != size) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	return psa_read(msg->handle, vector, buffer, size) == size ? PSA_SUCCESS : PSA_ERROR_GENERIC_ERROR;
}

static psa_status_t write_all(const psa_msg_t *msg, uint32_t vector, const void *data, size_t len)
{
	if (msg->out_size[vector] < len) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_write(msg->handle, vector, data, len);
	return PSA_SUCCESS;
}

static psa_status_t do_info(const psa_msg_t *msg)
{
	struct tfm_inference_info info = { .window_samples = WINDOW_SAMPLES, .counter_hz = COUNTER_HZ };
	const struct model *model;

	/* Without a usable model the rest is still true. */
	if (model_get(&model) == PSA_SUCCESS) {
		memcpy(info.model_name, model->name, sizeof(info.model_name));
		memcpy(info.model_id, model->id, sizeof(info.model_id));
		info.input_size = (uint32_t)model->input_size;
		info.output_size = (uint32_t)model->output.len;
	}
	return write_all(msg, 0, &info, sizeof(info));
}

static psa_status_t do_sample(const psa_msg_t *msg)
{
	struct tfm_inference_sample request;
	psa_status_t status = read_exactly(msg, 0, &request, sizeof(request));

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (msg->out_size[0] < sizeof(struct tfm_inference_sample_state)) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	switch (request.mode) {
	case TFM_INFERENCE_SAMPLE_STEP:
		sampler_step();
		break;
	case TFM_INFERENCE_SAMPLE_FREE:
		if (request.period_ms == 0 || request.period_ms > SAMPLER_PERIOD_MAX_MS) {
			return PSA_ERROR_INVALID_ARGUMENT;
		}
		sampler_start(request.period_ms);
		break;
	case TFM_INFERENCE_SAMPLE_STOP:
		sampler_stop();
		break;
	case TFM_INFERENCE_SAMPLE_CLEAR:
		sampler_clear();
		break;
	default:
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	const struct sampler_state now = sampler_state();
	const struct tfm_inference_sample_state state = { (uint32_t)now.status, now.count, now.taken };

	return write_all(msg, 0, &state, sizeof(state));
}

DECISION static psa_status_t do_run(const psa_msg_t *msg, bool encrypted)
{
	static uint8_t input[INPUT_MAX];
	static uint8_t result[TFM_INFERENCE_RESULT_MAX];
	struct tfm_inference_phases phases = { .entered = counter_now(SAMPLING_TIMER) };
	struct tfm_inference_run request;
	size_t len;
	psa_status_t status = read_exactly(msg, 0, &request, sizeof(request));

	if (status == PSA_SUCCESS && msg->in_size[1] > sizeof(input)) {
		status = PSA_ERROR_INVALID_ARGUMENT;
	}
	if (status == PSA_SUCCESS && msg->out_size[1] < sizeof(phases)) {
		status = PSA_ERROR_BUFFER_TOO_SMALL;
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	size_t input_len = psa_read(msg->handle, 1, input, sizeof(input));

	volatile psa_status_t ran =
		infer_run(&request, input, input_len, encrypted, result, sizeof(result), &len, &phases);

	status = ran;
	if (status == PSA_SUCCESS) {
		FIH_REQUIRE(fih_of(ran == PSA_SUCCESS)); /* the buffer holds the result before */
		status = write_all(msg, 0, result, len);
	}
	if (status == PSA_SUCCESS) {
		status = write_all(msg, 1, &phases, sizeof(phases));
	}
	return status;
}

static psa_status_t do_public_key(const psa_msg_t *msg)
{
	uint8_t key[TFM_INFERENCE_COSE_KEY_MAX];
	uint32_t which;
	size_t len;
	psa_status_t status = read_exactly(msg, 0, &which, sizeof(which));

	if (status == PSA_SUCCESS) {
		status = identity_cose_key(which, key, sizeof(key), &len);
	}
	return status == PSA_SUCCESS ? write_all(msg, 0, key, len) : status;
}

static psa_status_t do_csr(const psa_msg_t *msg)
{
	uint8_t buf[TFM_INFERENCE_CSR_MAX];
	const uint8_t *csr;
	uint32_t which;
	size_t len;
	psa_status_t status = read_exactly(msg, 0, &which, sizeof(which));

	if (status == PSA_SUCCESS) {
		status = identity_csr(which, buf, sizeof(buf), &csr, &len);
	}
	return status == PSA_SUCCESS ? write_all(msg, 0, csr, len) : status;
}

psa_status_t tfm_inference_service_sfn(const psa_msg_t *msg)
{
	switch (msg->type) {
	case TFM_INFERENCE_INFO:
		return do_info(msg);
	case TFM_INFERENCE_SAMPLE:
		return do_sample(msg);
	case TFM_INFERENCE_RUN:
		return do_run(msg, false);
	case TFM_INFERENCE_PUBLIC_KEY:
		return do_public_key(msg);
	case TFM_INFERENCE_CSR:
		return do_csr(msg);
	case TFM_INFERENCE_BATCH:
		return measure_batch(msg);
	case TFM_INFERENCE_LATENCY:
		return measure_latency(msg);
	case TFM_INFERENCE_TRACE:
		return measure_trace(msg);
	case TFM_INFERENCE_RUN_ENCRYPTED:
		return INFERENCE_ENCRYPTED_RESULTS ? do_run(msg, true) : PSA_ERROR_NOT_SUPPORTED;
	default:
		return PSA_ERROR_NOT_SUPPORTED;
	}
}
