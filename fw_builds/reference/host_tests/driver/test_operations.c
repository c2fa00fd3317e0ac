/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that runs the model: the window is locked while it does, and unlocked behind it, whatever came of it.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "counter.h"
#include "devices.h"
#include "encrypt.h"
#include "identity.h"
#include "infer.h"
#include "measure.h"
#include "model.h"
#include "platform_client.h"
#include "sampler.h"

#define INPUT_SIZE (SENSOR_WINDOW * SENSOR_CHANNELS)
#define OUTPUT_SIZE 4u
#define RUNS 3u

static int8_t model_input[INPUT_SIZE], model_output[OUTPUT_SIZE];
static struct model model = { .input = model_input,
			      .input_size = INPUT_SIZE,
			      .output = { model_output, OUTPUT_SIZE, { 1, OUTPUT_SIZE }, 2, 1.0f, 0 } };
static struct window window;
static bool locked;
static unsigned runs, run_unlocked, run_that_fails, observed_runs;
static nn_observer *observer;
static void *observer_ctx;
static uint32_t lifecycle;
static const void *inputs[2];
static size_t written;

void sampler_lock(void)
{
	CHECK(!locked);
	locked = true;
}

void sampler_unlock(void)
{
	CHECK(locked);
	locked = false;
}

const struct window *sampler_window(void)
{
	CHECK(locked);
	return &window;
}

psa_status_t model_get(const struct model **found)
{
	*found = &model;
	return PSA_SUCCESS;
}

psa_status_t model_run(const struct model *which)
{
	CHECK(which == &model);
	run_unlocked += !locked;
	observed_runs += observer != NULL;
	if (observer != NULL) {
		observer(observer_ctx, 0, 9, model_output, OUTPUT_SIZE);
	}
	return ++runs == run_that_fails ? PSA_ERROR_GENERIC_ERROR : PSA_SUCCESS;
}

void model_observe(nn_observer *which, void *ctx)
{
	observer = which;
	observer_ctx = ctx;
}

uint32_t nn_op_count(const struct nn_model *m)
{
	(void)m;
	return 1;
}

size_t psa_read(psa_handle_t msg_handle, uint32_t vector, void *buffer, size_t size)
{
	(void)msg_handle;
	memcpy(buffer, inputs[vector], size);
	return size;
}

void psa_write(psa_handle_t msg_handle, uint32_t vector, const void *buffer, size_t size)
{
	(void)msg_handle;
	(void)vector;
	(void)buffer;
	written += size;
}

psa_status_t platform_lifecycle(uint32_t *now)
{
	*now = lifecycle;
	return PSA_SUCCESS;
}

psa_status_t platform_boot_seed(uint8_t seed[PLATFORM_BOOT_SEED_SIZE])
{
	memset(seed, 1, PLATFORM_BOOT_SEED_SIZE);
	return PSA_SUCCESS;
}

psa_status_t identity_instance_id(uint8_t id[RESULT_INSTANCE_ID_SIZE])
{
	memset(id, 2, RESULT_INSTANCE_ID_SIZE);
	return PSA_SUCCESS;
}

psa_status_t identity_hash(const uint8_t *data, size_t len, uint8_t hash[RESULT_HASH_SIZE])
{
	(void)data;
	(void)len;
	memset(hash, 3, RESULT_HASH_SIZE);
	return PSA_SUCCESS;
}

psa_status_t identity_sign_result(const uint8_t hash[RESULT_HASH_SIZE], uint8_t signature[RESULT_SIGNATURE_SIZE])
{
	(void)hash;
	memset(signature, 4, RESULT_SIGNATURE_SIZE);
	return PSA_SUCCESS;
}

psa_status_t counter_next(uint64_t *value)
{
	*value = 1;
	return PSA_SUCCESS;
}

psa_status_t encrypt_result(const uint8_t *signed_result, size_t len, uint64_t counter, const uint8_t *request_nonce,
			    size_t request_nonce_len, uint8_t *out, size_t size, size_t *out_len)
{
	(void)counter;
	(void)request_nonce;
	(void)request_nonce_len;
	CHECK(len <= size);
	memcpy(out, signed_result, len);
	*out_len = len;
	return PSA_SUCCESS;
}

static void start(void)
{
	static const uint8_t zeros[RUNS * INPUT_SIZE];

	locked = false;
	observer = NULL;
	runs = run_unlocked = run_that_fails = observed_runs = 0;
	inputs[0] = inputs[1] = zeros;
	written = 0;
	lifecycle = 0x1000;
	window_clear(&window);
}

/* What must hold behind every operation. */
static bool tidy(void)
{
	return !locked && observer == NULL && run_unlocked == 0;
}

static psa_status_t batch(size_t in, size_t out)
{
	const psa_msg_t msg = { .in_size = { in }, .out_size = { out } };

	return measure_batch(&msg);
}

static void a_batch_holds_sampling_up(void)
{
	start();
	CHECK(batch(RUNS * INPUT_SIZE, RUNS * OUTPUT_SIZE) == PSA_SUCCESS && tidy());
	CHECK(runs == RUNS && written == (size_t)RUNS * OUTPUT_SIZE);
	for (unsigned number = 1; number <= RUNS; number++) {
		start();
		run_that_fails = number;
		CHECK(batch(RUNS * INPUT_SIZE, RUNS * OUTPUT_SIZE) == PSA_ERROR_GENERIC_ERROR && tidy());
		CHECK(runs == number && written == (size_t)(number - 1) * OUTPUT_SIZE);
	}
	start();
	CHECK(batch(RUNS * INPUT_SIZE - 1, RUNS * OUTPUT_SIZE) == PSA_ERROR_INVALID_ARGUMENT && tidy());
	CHECK(batch(0, RUNS * OUTPUT_SIZE) == PSA_ERROR_INVALID_ARGUMENT && tidy());
	CHECK(batch(RUNS * INPUT_SIZE, RUNS * OUTPUT_SIZE - 1) == PSA_ERROR_BUFFER_TOO_SMALL && tidy());
	CHECK(runs == 0);
}

static psa_status_t trace(uint32_t op, size_t input, size_t out, size_t part)
{
	const struct tfm_inference_trace request = { op, 0 };
	const psa_msg_t msg = { .in_size = { sizeof(request), input }, .out_size = { out, part } };

	inputs[0] = &request;
	return measure_trace(&msg);
}

static void a_trace_holds_sampling_up(void)
{
	const size_t part = sizeof(struct tfm_inference_trace_part);
	const size_t list = sizeof(struct tfm_inference_trace_op);

	start();
	CHECK(trace(TFM_INFERENCE_TRACE_ALL, INPUT_SIZE, list, 0) == PSA_SUCCESS && tidy());
	CHECK(runs == 1 && observed_runs == 1 && written == list);
	start();
	CHECK(trace(0, 0, OUTPUT_SIZE, part) == PSA_SUCCESS && tidy());
	CHECK(runs == 1 && observed_runs == 1 && written == OUTPUT_SIZE + part);
	start();
	run_that_fails = 1;
	CHECK(trace(TFM_INFERENCE_TRACE_ALL, INPUT_SIZE, list, 0) == PSA_ERROR_GENERIC_ERROR && tidy());
	start();
	CHECK(trace(1, INPUT_SIZE, OUTPUT_SIZE, part) == PSA_ERROR_INVALID_ARGUMENT && tidy());
	CHECK(trace(0, INPUT_SIZE + 1, OUTPUT_SIZE, part) == PSA_ERROR_INVALID_ARGUMENT && tidy());
	CHECK(trace(TFM_INFERENCE_TRACE_ALL, INPUT_SIZE, list - 1, 0) == PSA_ERROR_BUFFER_TOO_SMALL && tidy());
	lifecycle = 0x3000;
	CHECK(trace(0, INPUT_SIZE, OUTPUT_SIZE, part) == PSA_ERROR_NOT_PERMITTED && tidy());
	CHECK(runs == 0);
}

static psa_status_t latency(uint32_t count, uint32_t warm_up, size_t input)
{
	const struct tfm_inference_latency request = { count, warm_up };
	const psa_msg_t msg = { .in_size = { sizeof(request), input },
				.out_size = { count * sizeof(uint32_t), sizeof(struct tfm_inference_latency_frame) } };

	inputs[0] = &request;
	return measure_latency(&msg);
}

static void timings_hold_sampling_up(void)
{
	start();
	CHECK(latency(RUNS, 2, INPUT_SIZE) == PSA_SUCCESS && tidy() && runs == RUNS + 2);
	for (unsigned number = 1; number <= RUNS + 2; number++) {
		start();
		run_that_fails = number;
		CHECK(latency(RUNS, 2, 0) == PSA_ERROR_GENERIC_ERROR && tidy() && runs == number && written == 0);
	}
	start();
	CHECK(latency(RUNS, 2, INPUT_SIZE - 1) == PSA_ERROR_INVALID_ARGUMENT && tidy());
	CHECK(latency(0, 2, INPUT_SIZE) == PSA_ERROR_INVALID_ARGUMENT && tidy());
	CHECK(runs == 0);
}

static psa_status_t infer(uint32_t source, uint32_t nonce_len, size_t input_len, bool encrypted)
{
	static const uint8_t input[INPUT_SIZE + 1];
	static uint8_t out[TFM_INFERENCE_RESULT_MAX];
	const struct tfm_inference_run request = { .source = source, .nonce_len = nonce_len };
	struct tfm_inference_phases phases = { 0 };
	size_t len;

	return infer_run(&request, input, input_len, encrypted, out, sizeof(out), &len, &phases);
}

static void fill(uint32_t count)
{
	const struct sensor_sample sample = { 1, 2, 3, 4 };

	window_clear(&window);
	for (uint32_t i = 0; i < count; i++) {
		window_push(&window, &sample);
	}
}

static void an_inference_holds_sampling_up(void)
{
	for (unsigned encrypted = 0; encrypted <= 1; encrypted++) {
		start();
		CHECK(infer(TFM_INFERENCE_SOURCE_HOST, 8, INPUT_SIZE, encrypted) == PSA_SUCCESS && tidy() && runs == 1);
		start();
		fill(WINDOW_SAMPLES);
		CHECK(infer(TFM_INFERENCE_SOURCE_SENSOR, 8, 0, encrypted) == PSA_SUCCESS && tidy() && runs == 1);
		start();
		fill(WINDOW_SAMPLES - 1);
		CHECK(infer(TFM_INFERENCE_SOURCE_SENSOR, 8, 0, encrypted) == PSA_ERROR_BAD_STATE && tidy());
		CHECK(infer(TFM_INFERENCE_SOURCE_HOST, 8, INPUT_SIZE + 1, encrypted) == PSA_ERROR_INVALID_ARGUMENT);
		CHECK(infer(TFM_INFERENCE_SOURCE_HOST, 7, INPUT_SIZE, encrypted) == PSA_ERROR_INVALID_ARGUMENT);
		CHECK(tidy() && runs == 0);
		run_that_fails = 1;
		CHECK(infer(TFM_INFERENCE_SOURCE_HOST, 8, INPUT_SIZE, encrypted) == PSA_ERROR_GENERIC_ERROR && tidy());
	}
}

int main(void)
{
	/* The counter's registers, where the partition reads them. */
	CHECK(mmap(SAMPLING_TIMER, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		   0) == (void *)SAMPLING_TIMER);
	a_batch_holds_sampling_up();
	a_trace_holds_sampling_up();
	timings_hold_sampling_up();
	an_inference_holds_sampling_up();
	return 0;
}
