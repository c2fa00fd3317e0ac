/* SPDX-License-Identifier: Apache-2.0 */
#include "infer.h"

#include <string.h>

#include "counter.h"
#include "devices.h"
#include "encrypt.h"
#include "fih.h"
#include "identity.h"
#include "model.h"
#include "platform_client.h"
#include "result.h"
#include "sampler.h"

DECISION static psa_status_t check_request(const struct tfm_inference_run *request, size_t input_len)
{
	if (request->nonce_len < TFM_INFERENCE_NONCE_MIN || request->nonce_len > TFM_INFERENCE_NONCE_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (request->source == TFM_INFERENCE_SOURCE_SENSOR) {
		return input_len == 0 ? PSA_SUCCESS : PSA_ERROR_INVALID_ARGUMENT;
	}
	return request->source == TFM_INFERENCE_SOURCE_HOST ? PSA_SUCCESS : PSA_ERROR_INVALID_ARGUMENT;
}

static void use_window(const struct window *window, int8_t *input, uint8_t bytes[WINDOW_BYTES])
{
	for (uint32_t i = 0; i < WINDOW_SAMPLES; i++) {
		sensor_quantize_sample(window_at(window, i), input + i * SENSOR_CHANNELS);
	}
	window_serialise(window, bytes);
}

/* Put the window into the model's input. The window is locked. */
DECISION static psa_status_t input_from_sensor(const struct model *model, uint8_t digested[WINDOW_BYTES])
{
	const struct window *window = sampler_window();

	if (model->input_size != (size_t)SENSOR_WINDOW * SENSOR_CHANNELS) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	if (!window_full(window)) {
		return PSA_ERROR_BAD_STATE;
	}
	use_window(window, model->input, digested);
	return PSA_SUCCESS;
}

static psa_status_t input_from_host(const struct model *model, const uint8_t *input, size_t len)
{
	if (len != model->input_size) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	memcpy(model->input, input, len);
	return PSA_SUCCESS;
}

static psa_status_t run_timed(const struct model *model, struct tfm_inference_phases *phases)
{
	phases->start = counter_now(SAMPLING_TIMER);
	psa_status_t status = model_run(model);

	phases->end = counter_now(SAMPLING_TIMER);
	return status;
}

/* Everything of a result that is not the inference's own. */
static psa_status_t fill_claims(struct result_claims *claims, const struct tfm_inference_run *request,
				const struct model *model)
{
	psa_status_t status = identity_instance_id(claims->instance_id);

	if (status == PSA_SUCCESS) {
		status = platform_boot_seed(claims->boot_seed);
	}
	claims->nonce = request->nonce;
	claims->nonce_len = request->nonce_len;
	claims->source = request->source;
	claims->counter_hz = COUNTER_HZ;
	claims->output = model->output;
	memcpy(claims->model_id, model->id, sizeof(claims->model_id));
	return status;
}

static psa_status_t sign_claims(struct result_claims *claims, uint8_t *out, size_t size, size_t *len)
{
	psa_status_t status = counter_next(&claims->counter);

	if (status == PSA_SUCCESS) {
		status = result_sign(claims, identity_hash, identity_sign_result, out, size, len);
	}
	return status;
}

DECISION static psa_status_t check_model(const struct tfm_inference_run *request, const struct model *model)
{
	if (request->expect_model != 0 && memcmp(request->model_id, model->id, sizeof(model->id)) != 0) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	return model->output.len > RESULT_MAX_OUTPUT ? PSA_ERROR_NOT_SUPPORTED : PSA_SUCCESS;
}

/* FIH_YES: the request may have a result. The window is locked. */
DECISION static fih_t confirm(const struct tfm_inference_run *request, size_t input_len, const struct model *model)
{
	if (check_request(request, input_len) != PSA_SUCCESS || check_model(request, model) != PSA_SUCCESS) {
		return FIH_NO;
	}
	return fih_of(request->source != TFM_INFERENCE_SOURCE_SENSOR || window_full(sampler_window()));
}

DECISION psa_status_t infer_run(const struct tfm_inference_run *request, const uint8_t *input, size_t input_len,
				bool encrypted, uint8_t *out, size_t size, size_t *len,
				struct tfm_inference_phases *phases)
{
	static uint8_t plain[TFM_INFERENCE_RESULT_MAX - ENCRYPT_OVERHEAD];
	const bool from_sensor = request->source == TFM_INFERENCE_SOURCE_SENSOR;
	uint8_t window_bytes[WINDOW_BYTES];
	struct result_claims claims;
	const struct model *model;
	size_t plain_len = 0;
	volatile fih_t confirmed = FIH_NO;
	psa_status_t status = check_request(request, input_len);

	if (status == PSA_SUCCESS) {
		status = model_get(&model);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	status = check_model(request, model);
	if (status != PSA_SUCCESS) {
		return status;
	}
	/* The sampling timer stays off from here to the inference's end: its work is not the inference's time. */
	sampler_lock();
	status = from_sensor ? input_from_sensor(model, window_bytes) : input_from_host(model, input, input_len);
	if (status == PSA_SUCCESS) {
		confirmed = confirm(request, input_len, model);
	}
	phases->input_ready = counter_now(SAMPLING_TIMER);
	if (status == PSA_SUCCESS) {
		status = run_timed(model, phases);
	}
	sampler_unlock();
	if (status == PSA_SUCCESS) {
		status = identity_hash(from_sensor ? window_bytes : input, from_sensor ? WINDOW_BYTES : input_len,
				       claims.input_digest);
	}
	if (status == PSA_SUCCESS) {
		status = fill_claims(&claims, request, model);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	FIH_REQUIRE(confirmed); /* on every way to a signature, also one that skips a look at the status */
	claims.start_ticks = phases->start;
	claims.end_ticks = phases->end;
	phases->sign_start = counter_now(SAMPLING_TIMER);
	status = encrypted ? sign_claims(&claims, plain, sizeof(plain), &plain_len)
			   : sign_claims(&claims, out, size, len);
	phases->sign_end = counter_now(SAMPLING_TIMER);
	if (status == PSA_SUCCESS && encrypted) {
		status = encrypt_result(plain, plain_len, claims.counter, request->nonce, request->nonce_len, out, size,
					len);
	}
	return status;
}
