#include <string.h>

#include "../mutants.h"
#include "clock.h"
#include "commands.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "sensor_nonsecure.h"
#include "tfm_inference_defs.h"
#include "tfm_platform_api.h"

#define PROTOCOL_VERSION 1u
#define FIRMWARE_NAME "tfm-harness-reference"
#define ID_SIZE TFM_INFERENCE_ID_SIZE
#define UUID_TEXT_SIZE 37u

#define LIFECYCLE_STATE_MASK 0xff00u
#define LIFECYCLE_ASSEMBLY_AND_TEST 0x1000u

/* Room that the rest of an answer may need beside a byte string that takes what there is. */
#define ANSWER_OVERHEAD 256u
#define ANSWER_DATA_MAX (SMP_MAX_MESSAGE - SMP_HEADER_SIZE - ANSWER_OVERHEAD)

static psa_status_t call(int32_t type, const psa_invec *in, size_t in_len, psa_outvec *out, size_t out_len)
{
	return psa_call(TFM_INFERENCE_SERVICE_HANDLE, type, in, in_len, out, out_len);
}

static psa_status_t get_info(struct tfm_inference_info *info)
{
	psa_outvec out[] = { { info, sizeof(*info) } };

	return call(TFM_INFERENCE_INFO, NULL, 0, out, 1);
}

/* describe */

static void put_text_field(struct cbor_out *out, const char *key, const char *text)
{
	cbor_put_text(out, key);
	cbor_put_text(out, text);
}

static void put_uint_field(struct cbor_out *out, const char *key, uint64_t value)
{
	cbor_put_text(out, key);
	cbor_put_uint(out, value);
}

static void put_bytes_field(struct cbor_out *out, const char *key, const void *data, size_t len)
{
	cbor_put_text(out, key);
	cbor_put_bytes(out, data, len);
}

static void put_uuid(struct cbor_out *out, const struct tfm_platform_device_info *device)
{
	static const char digits[] = "0123456789abcdef";
	char text[UUID_TEXT_SIZE];
	char *at = text;

	for (size_t i = 0; device->has_identity && i < sizeof(device->uuid); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			*at++ = '-';
		}
		*at++ = digits[device->uuid[i] >> 4];
		*at++ = digits[device->uuid[i] & 15];
	}
	*at = '\0';
	put_text_field(out, "uuid", text);
}

static bool trace_allowed(const struct tfm_platform_device_info *device)
{
	return (device->lifecycle & LIFECYCLE_STATE_MASK) == LIFECYCLE_ASSEMBLY_AND_TEST;
}

static void put_features(struct cbor_out *out, const struct tfm_platform_device_info *device)
{
	static const char *const features[] = {
		"describe", "identity", "infer", "signed-result", "nonce", "psa-token", "public-keys",
		"csr",	    "sensor",	"free-running", "batch", "latency", "probe", "psa-call",
		"models",   "update",	"reset",  "stats", "log",
	};

	cbor_put_text(out, "feat");
	cbor_put_array(out, COUNT_OF(features) + (trace_allowed(device) ? 1 : 0));
	for (size_t i = 0; i < COUNT_OF(features); i++) {
		cbor_put_text(out, features[i]);
	}
	if (trace_allowed(device)) {
		cbor_put_text(out, "trace");
	}
}

static int32_t describe(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	static const char *const otp_states[] = { [OTP_OK] = "ok", [OTP_EMPTY] = "empty", [OTP_CORRUPT] = "corrupt" };
	struct tfm_platform_device_info device;
	struct tfm_inference_info info;
	psa_status_t status = tfm_platform_device_info(&device);

	(void)context;
	(void)values;
	if (status == PSA_SUCCESS) {
		status = get_info(&info);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 20);
	put_uint_field(out, "proto", PROTOCOL_VERSION);
	put_text_field(out, "fw", FIRMWARE_NAME);
	put_text_field(out, "ver", device.nspe_version);
	put_text_field(out, "spe", device.spe_version);
	put_bytes_field(out, "nspe", device.nspe_measurement, sizeof(device.nspe_measurement));
	put_bytes_field(out, "speh", device.spe_measurement, sizeof(device.spe_measurement));
	put_uint_field(out, "boot", device.boot_count);
	put_bytes_field(out, "seed", device.boot_seed, device.has_boot_seed ? sizeof(device.boot_seed) : 0);
	put_uint_field(out, "life", device.lifecycle);
	put_text_field(out, "otp", device.otp < COUNT_OF(otp_states) ? otp_states[device.otp] : "corrupt");
	put_uuid(out, &device);
	put_uint_field(out, "hz", device.counter_hz);
	put_uint_field(out, "win", info.window_samples);
	put_uint_field(out, "mtu", SMP_MAX_MESSAGE);
	put_text_field(out, "prof", device.attest_profile);
	put_features(out, &device);
	put_text_field(out, "model", info.model_name);
	put_bytes_field(out, "mid", info.model_id, info.model_name[0] != '\0' ? ID_SIZE : 0);
	put_uint_field(out, "in", info.input_size);
	put_uint_field(out, "out", info.output_size);
	return SMP_ERR_OK;
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
	psa_invec in_vec[] = { { &request, sizeof(request) }, { NULL, 0 } };
	size_t in_len = 1;

	struct sensor_sample read_here;

	if (MUTANT_IS(SENSOR_NONSECURE) && sensor_nonsecure_read(&read_here)) {
		in_vec[1] = (psa_invec){ &read_here, sizeof(read_here) };
		in_len = 2;
	}
	psa_status_t status = call(TFM_INFERENCE_SAMPLE, in_vec, in_len, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 3);
	put_uint_field(out, "st", state.status);
	put_uint_field(out, "n", state.count);
	put_uint_field(out, "seq", state.taken);
	return SMP_ERR_OK;
}

/* infer */

enum { INFER_NONCE, INFER_SOURCE, INFER_INPUT, INFER_MODEL };
static const struct cbor_field infer_fields[] = {
	{ "nonce", CBOR_TYPE_BYTES, true },
	{ "src", CBOR_TYPE_UINT, true },
	{ "in", CBOR_TYPE_BYTES, false },
	{ "mid", CBOR_TYPE_BYTES, false },
};

static bool infer_request(const struct cbor_value *values, struct tfm_inference_run *request)
{
	const struct cbor_value *nonce = &values[INFER_NONCE], *mid = &values[INFER_MODEL];

	memset(request, 0, sizeof(*request));
	if (values[INFER_SOURCE].number > TFM_INFERENCE_SOURCE_HOST || nonce->len < TFM_INFERENCE_NONCE_MIN ||
	    nonce->len > sizeof(request->nonce) || (mid->present && mid->len != sizeof(request->model_id)) ||
	    values[INFER_INPUT].present != (values[INFER_SOURCE].number == TFM_INFERENCE_SOURCE_HOST)) {
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
	cbor_put_map(out, 2);
	cbor_put_text(out, "res");
	uint8_t *result = cbor_begin_bytes(out, TFM_INFERENCE_RESULT_MAX);
	const psa_invec in_vec[] = {
		{ &request, sizeof(request) },
		{ values[INFER_INPUT].data, values[INFER_INPUT].len },
	};
	psa_outvec out_vec[] = { { result, TFM_INFERENCE_RESULT_MAX }, { &phases, sizeof(phases) } };
	psa_status_t status = call(TFM_INFERENCE_RUN, in_vec, 2, out_vec, 2);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	const uint64_t ticks[] = {
		context->received, phases.entered, phases.input_ready, phases.start,
		phases.end,	   phases.sign_start, phases.sign_end, ticks_now(),
	};

	cbor_put_text(out, "ph");
	cbor_put_array(out, COUNT_OF(ticks));
	for (size_t i = 0; i < COUNT_OF(ticks); i++) {
		cbor_put_uint(out, ticks[i]);
	}
	return SMP_ERR_OK;
}

/* batch */

enum { BATCH_INPUTS };
static const struct cbor_field batch_fields[] = { { "in", CBOR_TYPE_BYTES, true } };

static int32_t batch(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	const psa_invec in_vec[] = { { values[BATCH_INPUTS].data, values[BATCH_INPUTS].len } };

	(void)context;
	cbor_put_map(out, 1);
	cbor_put_text(out, "out");
	psa_outvec out_vec[] = { { cbor_begin_bytes(out, ANSWER_DATA_MAX), ANSWER_DATA_MAX } };
	psa_status_t status = call(TFM_INFERENCE_BATCH, in_vec, 1, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	return SMP_ERR_OK;
}

/* latency */

enum { LATENCY_RUNS, LATENCY_WARM_UP, LATENCY_INPUT };
static const struct cbor_field latency_fields[] = {
	{ "n", CBOR_TYPE_UINT, true },
	{ "warm", CBOR_TYPE_UINT, true },
	{ "in", CBOR_TYPE_BYTES, false },
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
	request.runs = (uint32_t)values[LATENCY_RUNS].number;
	request.warm_up = (uint32_t)values[LATENCY_WARM_UP].number;
	cbor_put_map(out, 5);
	cbor_put_text(out, "t");
	const size_t size = request.runs * sizeof(uint32_t);
	const psa_invec in_vec[] = {
		{ &request, sizeof(request) },
		{ values[LATENCY_INPUT].data, values[LATENCY_INPUT].len },
	};
	psa_outvec out_vec[] = { { cbor_begin_bytes(out, size), size }, { &frame, sizeof(frame) } };
	psa_status_t status = call(TFM_INFERENCE_LATENCY, in_vec, 2, out_vec, 2);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	put_bytes_field(out, "e", frame.empty, sizeof(frame.empty));
	put_uint_field(out, "hz", frame.counter_hz);
	put_uint_field(out, "t0", frame.start);
	put_uint_field(out, "t1", frame.end);
	return SMP_ERR_OK;
}

/* trace */

enum { TRACE_INPUT, TRACE_OP, TRACE_OFFSET };
static const struct cbor_field trace_fields[] = {
	{ "in", CBOR_TYPE_BYTES, true },
	{ "op", CBOR_TYPE_UINT, false },
	{ "off", CBOR_TYPE_UINT, false },
};

static int32_t trace_list(const struct cbor_value *input, struct cbor_out *out)
{
	static struct tfm_inference_trace_op ops[TFM_INFERENCE_MAX_OPS];
	const struct tfm_inference_trace request = { TFM_INFERENCE_TRACE_ALL, 0 };
	const psa_invec in_vec[] = { { &request, sizeof(request) }, { input->data, input->len } };
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

	(void)context;
	if (values[TRACE_INPUT].len == 0 || values[TRACE_OP].number >= TFM_INFERENCE_TRACE_ALL ||
	    values[TRACE_OFFSET].number > UINT32_MAX || (values[TRACE_OFFSET].present && !values[TRACE_OP].present)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (!values[TRACE_OP].present) {
		return trace_list(&values[TRACE_INPUT], out);
	}
	const struct tfm_inference_trace request = {
		(uint32_t)values[TRACE_OP].number,
		(uint32_t)values[TRACE_OFFSET].number,
	};
	const psa_invec in_vec[] = {
		{ &request, sizeof(request) },
		{ values[TRACE_INPUT].data, values[TRACE_INPUT].len },
	};

	cbor_put_map(out, 2);
	cbor_put_text(out, "out");
	psa_outvec out_vec[] = {
		{ cbor_begin_bytes(out, ANSWER_DATA_MAX), ANSWER_DATA_MAX },
		{ &part, sizeof(part) },
	};
	psa_status_t status = call(TFM_INFERENCE_TRACE, in_vec, 2, out_vec, 2);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	put_uint_field(out, "len", part.len);
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND_WITHOUT_FIELDS(SMP_GROUP_INFERENCE, 0, SMP_READ, describe),
	COMMAND(SMP_GROUP_INFERENCE, 1, SMP_WRITE, sample, sample_fields),
	COMMAND(SMP_GROUP_INFERENCE, 2, SMP_WRITE, infer, infer_fields),
	COMMAND(SMP_GROUP_INFERENCE, 10, SMP_WRITE, batch, batch_fields),
	COMMAND(SMP_GROUP_INFERENCE, 11, SMP_WRITE, latency, latency_fields),
	COMMAND(SMP_GROUP_INFERENCE, 16, SMP_WRITE, trace, trace_fields),
};

const struct smp_command_table inference_commands = COMMAND_TABLE(commands);
