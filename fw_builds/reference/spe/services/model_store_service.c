/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model store over psa_call(), and the upload of a new model.
 */
#include <string.h>

#include "bytes.h"
#include "model_store.h"
#include "services.h"
#include "sha256.h"
#include "tfm_memory_sections.h"

/* The file being uploaded. Verified where it is: nothing outside the secure side can change it meanwhile. */
static SECTION_BANK uint8_t upload[MODEL_STORE_SLOT_SIZE];
static uint32_t upload_total; /* 0: no upload has begun */
static uint32_t upload_received;
static uint8_t upload_sha256[SHA256_SIZE];

static psa_status_t put_info(const psa_msg_t *msg, const struct model_store_info *info)
{
	if (msg->out_size[0] < sizeof *info) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_write(msg->handle, 0, info, sizeof *info);
	return PSA_SUCCESS;
}

static psa_status_t get_active(const psa_msg_t *msg)
{
	struct model_store_info info;
	const psa_status_t status = model_store_active(&info);

	return status == PSA_SUCCESS ? put_info(msg, &info) : status;
}

static psa_status_t read_active(const psa_msg_t *msg)
{
	const uint8_t *bytes;
	size_t len;

	if (msg->client_id < 0) {
		return PSA_ERROR_NOT_PERMITTED; /* models are for the secure side */
	}
	const psa_status_t status = model_store_active_bytes(&bytes, &len);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (msg->out_size[0] < len) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_write(msg->handle, 0, bytes, len);
	return PSA_SUCCESS;
}

static psa_status_t list(const psa_msg_t *msg)
{
	struct model_store_info info[MODEL_STORE_SLOTS];
	const size_t len = model_store_list(info) * sizeof info[0];

	if (msg->out_size[0] < len) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_write(msg->handle, 0, info, len);
	return PSA_SUCCESS;
}

static psa_status_t select(const psa_msg_t *msg)
{
	char name[MODEL_STORE_NAME_MAX + 1u] = "";
	struct model_store_info info;

	if (msg->in_size[0] == 0 || msg->in_size[0] > MODEL_STORE_NAME_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (msg->out_size[0] < sizeof info) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	(void)psa_read(msg->handle, 0, name, MODEL_STORE_NAME_MAX);
	if (strlen(name) != msg->in_size[0]) {
		return PSA_ERROR_INVALID_ARGUMENT; /* a name up to its NUL is not the name that was asked for */
	}
	const psa_status_t status = model_store_select(name, &info);

	return status == PSA_SUCCESS ? put_info(msg, &info) : status;
}

/* The first chunk says what is coming; the same announcement again resumes. */
static psa_status_t begin_upload(const struct model_store_chunk *chunk)
{
	if (chunk->total == 0 || chunk->total > sizeof upload) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (chunk->total != upload_total || memcmp(chunk->sha256, upload_sha256, sizeof upload_sha256) != 0 ||
	    upload_received == upload_total) {
		upload_total = chunk->total;
		upload_received = 0;
		memcpy(upload_sha256, chunk->sha256, sizeof upload_sha256);
	}
	return PSA_SUCCESS;
}

static psa_status_t take_chunk(const psa_msg_t *msg)
{
	struct model_store_chunk chunk;

	if (msg->in_size[0] != sizeof chunk) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (msg->out_size[0] < sizeof upload_received) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	(void)psa_read(msg->handle, 0, &chunk, sizeof chunk);
	if (chunk.offset == 0) {
		const psa_status_t status = begin_upload(&chunk);

		if (status != PSA_SUCCESS) {
			return status;
		}
	}
	if (chunk.offset == upload_received && upload_total != 0) {
		if (msg->in_size[1] > upload_total - upload_received) {
			return PSA_ERROR_INVALID_ARGUMENT;
		}
		upload_received += (uint32_t)psa_read(msg->handle, 1, upload + upload_received, msg->in_size[1]);
	}
	psa_write(msg->handle, 0, &upload_received, sizeof upload_received);
	return PSA_SUCCESS;
}

static psa_status_t activate(const psa_msg_t *msg)
{
	uint8_t wanted[SHA256_SIZE], digest[SHA256_SIZE];
	struct model_store_info info;

	if (msg->in_size[0] != sizeof wanted) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (msg->out_size[0] < sizeof info) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	(void)psa_read(msg->handle, 0, wanted, sizeof wanted);
	if (upload_total == 0 || upload_received != upload_total ||
	    !bytes_equal(wanted, upload_sha256, sizeof wanted)) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	sha256(upload, upload_total, digest);
	if (memcmp(digest, wanted, sizeof wanted) != 0) {
		return PSA_ERROR_INVALID_SIGNATURE; /* not what was announced */
	}
	const psa_status_t status = model_store_install(upload, upload_total, &info);

	return status == PSA_SUCCESS ? put_info(msg, &info) : status;
}

psa_status_t tfm_model_store_service_sfn(const psa_msg_t *msg)
{
	switch (msg->type) {
	case TFM_MODEL_STORE_GET_ACTIVE:
		return get_active(msg);
	case TFM_MODEL_STORE_READ_ACTIVE:
		return read_active(msg);
	case TFM_MODEL_STORE_LIST:
		return list(msg);
	case TFM_MODEL_STORE_SELECT:
		return select(msg);
	case TFM_MODEL_STORE_UPLOAD:
		return take_chunk(msg);
	case TFM_MODEL_STORE_ACTIVATE:
		return activate(msg);
	default:
		return PSA_ERROR_NOT_SUPPORTED;
	}
}
