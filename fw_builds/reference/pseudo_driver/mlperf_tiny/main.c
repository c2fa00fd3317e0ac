/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The non-secure pseudo-driver that speaks MLPerf Tiny's protocol on UART0. It takes the place of the SMP server's main.c
 * (make PROTOCOL=mlperf-tiny); inferences are done by the same secure service, and what it prints is what was signed.
 */
#include <string.h>

#include "clock.h"
#include "decimal.h"
#include "monitor.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "tfm_inference_defs.h"
#include "uart.h"

#define TICKS_IN_A_MICROSECOND 32u

static bool describe(char name[16], size_t *input_size)
{
	struct tfm_inference_info info;
	psa_outvec out[] = { { &info, sizeof(info) } };

	if (psa_call(TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_INFO, NULL, 0, out, 1) != PSA_SUCCESS) {
		return false;
	}
	memcpy(name, info.model_name, TFM_INFERENCE_NAME_SIZE);
	name[TFM_INFERENCE_NAME_SIZE - 1] = '\0';
	*input_size = info.input_size;
	return true;
}

static bool infer(const uint8_t *input, size_t len, uint32_t count)
{
	static uint32_t ticks[TFM_INFERENCE_LATENCY_MAX];
	struct tfm_inference_latency_frame frame;

	while (count > 0) {
		const uint32_t now = count < TFM_INFERENCE_LATENCY_MAX ? count : TFM_INFERENCE_LATENCY_MAX;
		const struct tfm_inference_latency request = { .runs = now, .warm_up = 0 };
		const psa_invec in[] = { { &request, sizeof(request) }, { input, len } };
		psa_outvec out[] = { { ticks, now * sizeof(ticks[0]) }, { &frame, sizeof(frame) } };

		if (psa_call(TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_LATENCY, in, 2, out, 2) != PSA_SUCCESS) {
			return false;
		}
		count -= now;
	}
	return true;
}

static bool results(const uint8_t *input, size_t len, void (*each)(const char *text, bool last))
{
	static uint8_t message[TFM_INFERENCE_RESULT_MAX];
	struct tfm_inference_run request = {
		.source = TFM_INFERENCE_SOURCE_HOST,
		.nonce_len = TFM_INFERENCE_NONCE_MIN, /* zeros: this protocol's host gives none */
	};
	struct tfm_inference_phases phases;
	struct signed_output output;
	const psa_invec in[] = { { &request, sizeof(request) }, { input, len } };
	psa_outvec out[] = { { message, sizeof(message) }, { &phases, sizeof(phases) } };

	if (psa_call(TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_RUN, in, 2, out, 2) != PSA_SUCCESS ||
	    !signed_output_find(message, out[0].len, &output)) {
		return false;
	}
	for (size_t i = 0; i < output.len; i++) {
		char text[DECIMAL_ROOM];

		if (!decimal_scaled(text, output.scale_bits, output.data[i] - output.zero_point)) {
			return false;
		}
		each(text, i == output.len - 1);
	}
	return true;
}

static uint64_t microseconds(void)
{
	return ticks_now() / TICKS_IN_A_MICROSECOND;
}

static void put(const char *text)
{
	uart_put((const uint8_t *)text, strlen(text));
}

int main(void)
{
	static const struct monitor_engine engine = { describe, infer, results, microseconds, put };

	uart_init();
	monitor_init(&engine);
	for (;;) {
		monitor_byte((char)uart_get());
	}
}
