/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs that are larger than a message: put together here from parts, and named by a later request in `in`'s place.
 */
#include "input_commands.h"

#include <string.h>

#include "commands.h"
#include "driver_features.h"

#if DRIVER_HAS_INPUT_UPLOAD

static uint8_t input[DRIVER_INPUT_MAX];
static uint32_t input_have; /* bytes that have come */
static uint32_t input_want; /* bytes that were announced; 0: none */

enum { INPUT_OFFSET, INPUT_DATA, INPUT_LENGTH };
static const struct cbor_field input_fields[] = {
	{ "off", CBOR_TYPE_UINT, true },
	{ "data", CBOR_TYPE_BYTES, true },
	{ "len", CBOR_TYPE_UINT, false },
};

static int32_t input_upload(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	const struct cbor_value *const data = &values[INPUT_DATA], *const length = &values[INPUT_LENGTH];
	const bool first = values[INPUT_OFFSET].number == 0;

	(void)context;
	if (length->present != first || (first && (length->number == 0 || length->number > sizeof(input)))) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	const uint32_t want = first ? (uint32_t)length->number : input_want;
	const uint32_t have = first ? 0 : input_have;

	if (values[INPUT_OFFSET].number == have) {
		if (data->len > want - have) {
			return PSA_ERROR_INVALID_ARGUMENT;
		}
		memcpy(input + have, data->data, data->len);
		input_want = want;
		input_have = have + (uint32_t)data->len;
	}
	cbor_put_map(out, 1);
	put_uint_pair(out, "off", input_have);
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND(SMP_GROUP_INFERENCE, 20, SMP_WRITE, input_upload, input_fields),
};

const struct smp_command_table input_commands = COMMAND_TABLE(commands);

#endif

int32_t input_of(const struct cbor_value *in, const struct cbor_value *uploaded, psa_invec *vector)
{
	*vector = (psa_invec){ in->data, in->len };
	if (!uploaded->present) {
		return PSA_SUCCESS;
	}
	if (in->present) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
#if DRIVER_HAS_INPUT_UPLOAD
	if (input_have == input_want && uploaded->number == input_have && input_have != 0) {
		*vector = (psa_invec){ input, input_have };
		return PSA_SUCCESS;
	}
#endif
	return PSA_ERROR_BAD_STATE;
}
