/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "driver_features.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "tfm_inference_defs.h"
#include "device_ioctl.h"

#define PROTOCOL_VERSION 1u
#define ID_SIZE TFM_INFERENCE_ID_SIZE
#define UUID_TEXT_SIZE 37u

#define LIFECYCLE_STATE_MASK 0xff00u
#define LIFECYCLE_ASSEMBLY_AND_TEST 0x1000u

static psa_status_t get_info(struct tfm_inference_info *info)
{
	psa_outvec out[] = { { info, sizeof(*info) } };

	return psa_call(TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_INFO, NULL, 0, out, 1);
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
	put_text_pair(out, "uuid", text);
}

static bool trace_allowed(const struct tfm_platform_device_info *device)
{
	return (device->lifecycle & LIFECYCLE_STATE_MASK) == LIFECYCLE_ASSEMBLY_AND_TEST;
}

static void put_features(struct cbor_out *out, const struct tfm_platform_device_info *device)
{
	const struct {
		const char *name;
		bool here;
	} features[] = {
		{ "describe", true },
		{ "identity", true },
		{ "infer", true },
		{ "signed-result", true },
		{ "nonce", true },
		{ "psa-token", true },
		{ "public-keys", true },
		{ "csr", true },
		{ "encrypted-result", DRIVER_HAS_ENCRYPTED_RESULT },
		{ "protected-storage", DRIVER_HAS_PROTECTED_STORAGE },
		{ "sensor", true },
		{ "free-running", DRIVER_HAS_FREE_RUNNING },
		{ "batch", true },
		{ "latency", true },
		{ "probe", DRIVER_HAS_PROBE },
		{ "psa-call", DRIVER_HAS_PROBE },
		{ "models", DRIVER_HAS_MODELS },
		{ "update", DRIVER_HAS_UPDATE },
		{ "reset", true },
		{ "stats", true },
		{ "log", true },
		{ "hold", DRIVER_HAS_HOLD },
		{ "input-upload", DRIVER_HAS_INPUT_UPLOAD },
		{ "trace", DRIVER_HAS_TRACE && trace_allowed(device) },
	};
	size_t count = 0;

	for (size_t i = 0; i < COUNT_OF(features); i++) {
		count += features[i].here ? 1 : 0;
	}
	cbor_put_text(out, "feat");
	cbor_put_array(out, count);
	for (size_t i = 0; i < COUNT_OF(features); i++) {
		if (features[i].here) {
			cbor_put_text(out, features[i].name);
		}
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
	const bool counts_boots = device.boot_count != TFM_PLATFORM_BOOT_COUNT_UNKNOWN;

	cbor_put_map(out, counts_boots ? 20u : 19u);
	put_uint_pair(out, "proto", PROTOCOL_VERSION);
	put_text_pair(out, "fw", DRIVER_FIRMWARE_NAME);
	put_text_pair(out, "ver", device.nspe_version);
	put_text_pair(out, "spe", device.spe_version);
	put_bytes_pair(out, "nspe", device.nspe_measurement, sizeof(device.nspe_measurement));
	put_bytes_pair(out, "speh", device.spe_measurement, sizeof(device.spe_measurement));
	if (counts_boots) {
		put_uint_pair(out, "boot", device.boot_count);
	}
	put_bytes_pair(out, "seed", device.boot_seed, device.has_boot_seed ? sizeof(device.boot_seed) : 0);
	put_uint_pair(out, "life", device.lifecycle);
	put_text_pair(out, "otp", device.otp < COUNT_OF(otp_states) ? otp_states[device.otp] : "corrupt");
	put_uuid(out, &device);
	put_uint_pair(out, "hz", device.counter_hz);
	put_uint_pair(out, "win", info.window_samples);
	put_uint_pair(out, "mtu", SMP_MAX_MESSAGE);
	put_text_pair(out, "prof", device.attest_profile);
	put_features(out, &device);
	put_text_pair(out, "model", info.model_name);
	put_bytes_pair(out, "mid", info.model_id, info.model_name[0] != '\0' ? ID_SIZE : 0);
	put_uint_pair(out, "in", info.input_size);
	put_uint_pair(out, "out", info.output_size);
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND_WITHOUT_FIELDS(SMP_GROUP_INFERENCE, 0, SMP_READ, describe),
};

const struct smp_command_table describe_command = COMMAND_TABLE(commands);
