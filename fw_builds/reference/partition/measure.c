/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <string.h>

#include "devices.h"
#include "model.h"
#include "platform_client.h"
#include "sampler.h"

/* Security lifecycle "assembly and test" (RFC 9783, section 4.3.1: 0x1000..0x10ff). */
#define LIFECYCLE_STATE_MASK 0xff00u
#define LIFECYCLE_ASSEMBLY_AND_TEST 0x1000u

psa_status_t measure_batch(const psa_msg_t *msg)
{
	const struct model *model;
	psa_status_t status = model_get(&model);

	if (status != PSA_SUCCESS) {
		return status;
	}
	size_t runs = msg->in_size[0] / model->input_size;

	if (runs == 0 || msg->in_size[0] % model->input_size != 0) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (runs > msg->out_size[0] / model->output.len) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	sampler_lock(); /* as for a signed result: no sample is taken while the model runs */
	for (size_t i = 0; i < runs && status == PSA_SUCCESS; i++) {
		(void)psa_read(msg->handle, 0, model->input, model->input_size);
		status = model_run(model);
		if (status == PSA_SUCCESS) {
			psa_write(msg->handle, 0, model->output.data, model->output.len);
		}
	}
	sampler_unlock();
	return status;
}

/* Fill the model's input from input vector `vector`, or with zeros when that is empty. */
static psa_status_t read_input(const psa_msg_t *msg, uint32_t vector, const struct model *model)
{
	if (msg->in_size[vector] == 0) {
		memset(model->input, 0, model->input_size);
		return PSA_SUCCESS;
	}
	if (msg->in_size[vector] != model->input_size) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	(void)psa_read(msg->handle, vector, model->input, model->input_size);
	return PSA_SUCCESS;
}

static uint32_t time_one(const struct model *model, psa_status_t *status)
{
	uint64_t start = counter_now(SAMPLING_TIMER);

	*status = model_run(model);
	uint64_t ticks = counter_now(SAMPLING_TIMER) - start;

	return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static void time_nothing(struct tfm_inference_latency_frame *frame)
{
	for (uint32_t i = 0; i < TFM_INFERENCE_EMPTY_RUNS; i++) {
		uint64_t start = counter_now(SAMPLING_TIMER);

		frame->empty[i] = (uint32_t)(counter_now(SAMPLING_TIMER) - start);
	}
}

psa_status_t measure_latency(const psa_msg_t *msg)
{
	static uint32_t ticks[TFM_INFERENCE_LATENCY_MAX];
	struct tfm_inference_latency_frame frame = { .counter_hz = COUNTER_HZ };
	struct tfm_inference_latency request;
	const struct model *model;

	if (msg->in_size[0] != sizeof(request) || msg->out_size[1] < sizeof(frame)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	(void)psa_read(msg->handle, 0, &request, sizeof(request));
	if (request.runs == 0 || request.runs > TFM_INFERENCE_LATENCY_MAX ||
	    request.warm_up > TFM_INFERENCE_LATENCY_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (msg->out_size[0] < request.runs * sizeof(ticks[0])) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_status_t status = model_get(&model);

	if (status == PSA_SUCCESS) {
		status = read_input(msg, 1, model);
	}
	sampler_lock();
	frame.start = counter_now(SAMPLING_TIMER);
	time_nothing(&frame);
	for (uint32_t i = 0; i < request.warm_up && status == PSA_SUCCESS; i++) {
		(void)time_one(model, &status);
	}
	for (uint32_t i = 0; i < request.runs && status == PSA_SUCCESS; i++) {
		ticks[i] = time_one(model, &status);
	}
	frame.end = counter_now(SAMPLING_TIMER);
	sampler_unlock();
	if (status == PSA_SUCCESS) {
		psa_write(msg->handle, 0, ticks, request.runs * sizeof(ticks[0]));
		psa_write(msg->handle, 1, &frame, sizeof(frame));
	}
	return status;
}

/* CRC-32 of ISO-HDLC, as in zlib. */
static uint32_t crc32(const int8_t *data, size_t len)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < len; i++) {
		crc ^= (uint8_t)data[i];
		for (unsigned bit = 0; bit < 8; bit++) {
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
		}
	}
	return ~crc;
}

struct tracing {
	const psa_msg_t *msg;
	struct tfm_inference_trace request;
	struct tfm_inference_trace_part part;
	bool seen;
};

static void trace_op(void *ctx, unsigned op_index, uint32_t builtin_code, const int8_t *out, size_t len)
{
	struct tracing *tracing = ctx;

	if (tracing->request.op == TFM_INFERENCE_TRACE_ALL) {
		const struct tfm_inference_trace_op op = { builtin_code, (uint32_t)len, crc32(out, len) };

		psa_write(tracing->msg->handle, 0, &op, sizeof(op));
	} else if (tracing->request.op == op_index) {
		size_t offset = tracing->request.offset < len ? tracing->request.offset : len;
		size_t room = tracing->msg->out_size[0];

		psa_write(tracing->msg->handle, 0, out + offset, len - offset < room ? len - offset : room);
		tracing->part.len = (uint32_t)len;
		tracing->seen = true;
	}
}

psa_status_t measure_trace(const psa_msg_t *msg)
{
	struct tracing tracing = { .msg = msg };
	const struct model *model;
	uint32_t lifecycle;
	psa_status_t status = platform_lifecycle(&lifecycle);

	if (status != PSA_SUCCESS) {
		return status;
	}
	/* What happens inside the model is a secret of a device in the field. */
	if ((lifecycle & LIFECYCLE_STATE_MASK) != LIFECYCLE_ASSEMBLY_AND_TEST) {
		return PSA_ERROR_NOT_PERMITTED;
	}
	if (msg->in_size[0] != sizeof(tracing.request)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	(void)psa_read(msg->handle, 0, &tracing.request, sizeof(tracing.request));
	status = model_get(&model);
	if (status == PSA_SUCCESS) {
		status = read_input(msg, 1, model);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	const bool all = tracing.request.op == TFM_INFERENCE_TRACE_ALL;

	if (all && msg->out_size[0] < nn_op_count(&model->nn) * sizeof(struct tfm_inference_trace_op)) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	if (!all && (tracing.request.op >= nn_op_count(&model->nn) || msg->out_size[1] < sizeof(tracing.part))) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	sampler_lock();
	model_observe(trace_op, &tracing);
	status = model_run(model);
	model_observe(NULL, NULL);
	sampler_unlock();
	if (status == PSA_SUCCESS && tracing.seen) {
		psa_write(msg->handle, 1, &tracing.part, sizeof(tracing.part));
	}
	return status;
}
