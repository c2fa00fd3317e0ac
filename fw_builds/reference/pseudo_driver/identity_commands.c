/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"
#include "psa/client.h"
#include "psa/initial_attestation.h"
#include "psa_manifest/sid.h"
#include "tfm_inference_defs.h"

#define TOKEN_BUFFER_MAX 2048u
_Static_assert(TOKEN_BUFFER_MAX >= PSA_INITIAL_ATTEST_MAX_TOKEN_SIZE, "the default buffer holds every token");

/* attest */

enum { ATTEST_CHALLENGE, ATTEST_BUFFER };
static const struct cbor_field attest_fields[] = {
	{ "ch", CBOR_TYPE_BYTES, true },
	{ "buf", CBOR_TYPE_UINT, false },
};

static int32_t attest(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	const uint64_t room = values[ATTEST_BUFFER].present ? values[ATTEST_BUFFER].number : TOKEN_BUFFER_MAX;
	size_t len;

	(void)context;
	if (room > TOKEN_BUFFER_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	cbor_put_map(out, 1);
	cbor_put_text(out, "tok");
	psa_status_t status = psa_initial_attest_get_token(values[ATTEST_CHALLENGE].data, values[ATTEST_CHALLENGE].len,
							   cbor_begin_bytes(out, TOKEN_BUFFER_MAX), (size_t)room, &len);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, len);
	return SMP_ERR_OK;
}

/* attest-size */

enum { ATTEST_SIZE_LENGTH };
static const struct cbor_field attest_size_fields[] = { { "len", CBOR_TYPE_UINT, true } };

static int32_t attest_size(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	size_t size;

	(void)context;
	if (values[ATTEST_SIZE_LENGTH].number > UINT32_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_status_t status = psa_initial_attest_get_token_size((size_t)values[ATTEST_SIZE_LENGTH].number, &size);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_put_map(out, 1);
	put_uint_pair(out, "size", size);
	return SMP_ERR_OK;
}

/* public-key and csr: a key's number in, bytes out */

enum { KEY_NUMBER };
static const struct cbor_field key_fields[] = { { "key", CBOR_TYPE_UINT, true } };

static int32_t bytes_of_key(int32_t type, const char *name, size_t max, const struct cbor_value *values,
			    struct cbor_out *out)
{
	const uint32_t key = (uint32_t)values[KEY_NUMBER].number;

	if (values[KEY_NUMBER].number > UINT32_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	cbor_put_map(out, 1);
	cbor_put_text(out, name);
	const psa_invec in_vec[] = { { &key, sizeof(key) } };
	psa_outvec out_vec[] = { { cbor_begin_bytes(out, max), max } };
	psa_status_t status = psa_call(TFM_INFERENCE_SERVICE_HANDLE, type, in_vec, 1, out_vec, 1);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_end_bytes(out, out_vec[0].len);
	return SMP_ERR_OK;
}

static int32_t public_key(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	return bytes_of_key(TFM_INFERENCE_PUBLIC_KEY, "key", TFM_INFERENCE_COSE_KEY_MAX, values, out);
}

static int32_t csr(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	return bytes_of_key(TFM_INFERENCE_CSR, "csr", TFM_INFERENCE_CSR_MAX, values, out);
}

static const struct smp_command commands[] = {
	COMMAND(SMP_GROUP_INFERENCE, 3, SMP_WRITE, attest, attest_fields),
	COMMAND(SMP_GROUP_INFERENCE, 4, SMP_READ, attest_size, attest_size_fields),
	COMMAND(SMP_GROUP_INFERENCE, 5, SMP_READ, public_key, key_fields),
	COMMAND(SMP_GROUP_INFERENCE, 6, SMP_READ, csr, key_fields),
};

const struct smp_command_table identity_commands = COMMAND_TABLE(commands);
