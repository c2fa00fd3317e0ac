/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unsigned runs of the model for parity and time.
 */
#include "commands.h"
#include "input_commands.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "tfm_inference_defs.h"

/* Room that the rest of an answer may need beside a byte string that takes what there is. */
#define ANSWER_OVERHEAD 256u
#define ANSWER_DATA_MAX (SMP_MAX_MESSAGE - SMP_HEADER_SIZE - ANSWER_OVERHEAD)

static psa_status_t call(int32_t type, const psa_invec *in, size_t in_len, psa_outvec *out, size_t out_len)
{
	return psa_call(TFM_INFERENCE_SERVICE_HANDLE, type, in, in_len, out, out_len);
}

/* batch */

enum { BATCH_INPUTS, BATCH_UPLOADED };
static const struct cbor_field batch_fields[] = {
	{ "in", CBOR_TYPE_BYTES, false },
	{ "up", CBOR_TYPE_UINT, false },
};

/* One of the two must be there. */
static int32_t input_needed(const struct cbor_value *in, const struct cbor_value *uploaded, psa_invec *vector)
{
	return in->present || uploaded->present ? input_of(in, uploaded, vector) : SMP_ERR_EINVAL;
}

static int32_t batch(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	psa_invec in_vec[1];
	int32_t status = input_needed(&values[BATCH_INPUTS], &values[BATCH_UPLOADED], &in_vec[0]);

	(void)context;
	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 1);
	cbor_put_text(out, "out");
	psa_outvec out_vec[] = { { cbor_begin_bytes(out, ANSWER_DATA_MAX), ANSWER_DATA_MAX } };
	status = call(TFM_INFERENCE_BATCH, in_vec, 1, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	return SMP_ERR_OK;
}

/* latency */

enum { LATENCY_RUNS, LATENCY_WARM_UP, LATENCY_INPUT, LATENCY_UPLOADED };
static const struct cbor_field latency_fields[] = {
	{ "n", CBOR_TYPE_UINT, true },
	{ "warm", CBOR_TYPE_UINT, true },
	{ "in", CBOR_TYPE_BYTES, false },
	{ "up", CBOR_TYPE_UINT, false },
};

static int32_t latency(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	struct tfm_inference_latency_frame frame;
	struct tfm_inference_latency request;

	(void)context;
	if (values[LATENCY_RUNS].number == 0 || values[LATENCY_RUNS].number > TFM_INFERENCE_LATENCY_MAX ||
	    values[LATENCY_WARM_UP].number > TFM_INFERENCE_LATENCY_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_invec in_vec[] = { { &request, sizeof(request) }, { NULL, 0 } };
	psa_status_t status = input_of(&values[LATENCY_INPUT], &values[LATENCY_UPLOADED], &in_vec[1]);

	if (status != PSA_SUCCESS) {
		return status;
	}
	request.runs = (uint32_t)values[LATENCY_RUNS].number;
	request.warm_up = (uint32_t)values[LATENCY_WARM_UP].number;
	cbor_put_map(out, 5);
	cbor_put_text(out, "t");
	const size_t size = request.runs * sizeof(uint32_t);
	psa_outvec out_vec[] = { { cbor_begin_bytes(out, size), size }, { &frame, sizeof(frame) } };

	status = call(TFM_INFERENCE_LATENCY, in_vec, 2, out_vec, 2);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	put_bytes_pair(out, "e", frame.empty, sizeof(frame.empty));
	put_uint_pair(out, "hz", frame.counter_hz);
	put_uint_pair(out, "t0", frame.start);
	put_uint_pair(out, "t1", frame.end);
	return SMP_ERR_OK;
}

/* trace */

enum { TRACE_INPUT, TRACE_OP, TRACE_OFFSET, TRACE_UPLOADED };
static const struct cbor_field trace_fields[] = {
	{ "in", CBOR_TYPE_BYTES, false },
	{ "op", CBOR_TYPE_UINT, false },
	{ "off", CBOR_TYPE_UINT, false },
	{ "up", CBOR_TYPE_UINT, false },
};

static int32_t trace_list(const psa_invec *input, struct cbor_out *out)
{
	static struct tfm_inference_trace_op ops[TFM_INFERENCE_MAX_OPS];
	const struct tfm_inference_trace request = { TFM_INFERENCE_TRACE_ALL, 0 };
	const psa_invec in_vec[] = { { &request, sizeof(request) }, *input };
	psa_outvec out_vec[] = { { ops, sizeof(ops) } };
	psa_status_t status = call(TFM_INFERENCE_TRACE, in_vec, 2, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	const size_t count = out_vec[0].len / sizeof(ops[0]);

	cbor_put_map(out, 1);
	cbor_put_text(out, "ops");
	cbor_put_array(out, count);
	for (size_t i = 0; i < count; i++) {
		cbor_put_array(out, 4);
		cbor_put_uint(out, i);
		cbor_put_uint(out, ops[i].builtin_code);
		cbor_put_uint(out, ops[i].len);
		cbor_put_uint(out, ops[i].crc32);
	}
	return SMP_ERR_OK;
}

static int32_t trace(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	struct tfm_inference_trace_part part;
	psa_invec input;
	int32_t status = input_needed(&values[TRACE_INPUT], &values[TRACE_UPLOADED], &input);

	(void)context;
	if (status != PSA_SUCCESS) {
		return status;
	}
	if (input.len == 0 || values[TRACE_OP].number >= TFM_INFERENCE_TRACE_ALL ||
	    values[TRACE_OFFSET].number > UINT32_MAX || (values[TRACE_OFFSET].present && !values[TRACE_OP].present)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (!values[TRACE_OP].present) {
		return trace_list(&input, out);
	}
	const struct tfm_inference_trace request = {
		(uint32_t)values[TRACE_OP].number,
		(uint32_t)values[TRACE_OFFSET].number,
	};
	const psa_invec in_vec[] = { { &request, sizeof(request) }, input };

	cbor_put_map(out, 2);
	cbor_put_text(out, "out");
	psa_outvec out_vec[] = {
		{ cbor_begin_bytes(out, ANSWER_DATA_MAX), ANSWER_DATA_MAX },
		{ &part, sizeof(part) },
	};

	status = call(TFM_INFERENCE_TRACE, in_vec, 2, out_vec, 2);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	put_uint_pair(out, "len", part.len);
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND(SMP_GROUP_INFERENCE, 10, SMP_WRITE, batch, batch_fields),
	COMMAND(SMP_GROUP_INFERENCE, 11, SMP_WRITE, latency, latency_fields),
	COMMAND(SMP_GROUP_INFERENCE, 16, SMP_WRITE, trace, trace_fields),
};

const struct smp_command_table measure_commands = COMMAND_TABLE(commands);
