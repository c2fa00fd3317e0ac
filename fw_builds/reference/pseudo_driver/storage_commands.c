/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Protected Storage, for a client outside.
 */
#include "commands.h"
#include "driver_features.h"

#if DRIVER_HAS_PROTECTED_STORAGE

#include "psa/protected_storage.h"

#define DATA_MAX 1024u

/* ps-set */

enum { SET_UID, SET_DATA, SET_FLAGS };
static const struct cbor_field set_fields[] = {
	{ "uid", CBOR_TYPE_UINT, true },
	{ "data", CBOR_TYPE_BYTES, true },
	{ "fl", CBOR_TYPE_UINT, false },
};

static int32_t set(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	if (values[SET_FLAGS].number > UINT32_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	const psa_status_t status = psa_ps_set(values[SET_UID].number, values[SET_DATA].len, values[SET_DATA].data,
					       (psa_storage_create_flags_t)values[SET_FLAGS].number);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 0);
	return SMP_ERR_OK;
}

/* ps-get */

enum { GET_UID, GET_OFFSET };
static const struct cbor_field get_fields[] = {
	{ "uid", CBOR_TYPE_UINT, true },
	{ "off", CBOR_TYPE_UINT, false },
};

static int32_t get(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	struct psa_storage_info_t info;
	size_t len;

	(void)context;
	if (values[GET_OFFSET].number > UINT32_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_status_t status = psa_ps_get_info(values[GET_UID].number, &info);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 3);
	put_uint_pair(out, "size", info.size);
	put_uint_pair(out, "fl", info.flags);
	cbor_put_text(out, "data");
	status = psa_ps_get(values[GET_UID].number, (size_t)values[GET_OFFSET].number, DATA_MAX,
			    cbor_begin_bytes(out, DATA_MAX), &len);
	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, len);
	return SMP_ERR_OK;
}

/* ps-remove */

enum { REMOVE_UID };
static const struct cbor_field remove_fields[] = { { "uid", CBOR_TYPE_UINT, true } };

static int32_t take_away(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	const psa_status_t status = psa_ps_remove(values[REMOVE_UID].number);

	(void)context;
	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 0);
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND(SMP_GROUP_INFERENCE, 21, SMP_WRITE, set, set_fields),
	COMMAND(SMP_GROUP_INFERENCE, 22, SMP_READ, get, get_fields),
	COMMAND(SMP_GROUP_INFERENCE, 23, SMP_WRITE, take_away, remove_fields),
};

const struct smp_command_table storage_commands = COMMAND_TABLE(commands);

#endif
