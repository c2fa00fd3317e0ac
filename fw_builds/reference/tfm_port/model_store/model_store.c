/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model store of one model that is part of the secure image: whoever signs the image signs the model. It is always
 * active, and nothing can be uploaded; messages in tfm_model_store_api.h.
 */
#include <string.h>

#include "fixed_model.h" /* generated: the name, the bytes' number and their SHA-256 */
#include "psa/service.h"
#include "psa_manifest/tfm_model_store.h"
#include "tfm_model_store_api.h"

_Static_assert(sizeof(FIXED_MODEL_NAME) - 1u <= MODEL_STORE_NAME_MAX, "TFM_INFERENCE_MODEL_NAME is too long");
_Static_assert(FIXED_MODEL_SIZE <= MODEL_STORE_SLOT_SIZE, "TFM_INFERENCE_MODEL is too large");

extern const uint8_t fixed_model[]; /* fixed_model.S */

static const struct model_store_info info = {
	.status = PSA_SUCCESS,
	.active = 1,
	.length = FIXED_MODEL_SIZE,
	.generation = 1,
	.id = FIXED_MODEL_SHA256,
	.name = FIXED_MODEL_NAME,
	.version = "0.0.0", /* it has no image of its own */
};

static psa_status_t put(const psa_msg_t *msg, const void *data, size_t len)
{
	if (msg->out_size[0] < len) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_write(msg->handle, 0, data, len);
	return PSA_SUCCESS;
}

static psa_status_t select(const psa_msg_t *msg)
{
	char name[MODEL_STORE_NAME_MAX + 1u] = "";

	if (msg->in_size[0] == 0 || msg->in_size[0] > MODEL_STORE_NAME_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	(void)psa_read(msg->handle, 0, name, MODEL_STORE_NAME_MAX);
	return strcmp(name, FIXED_MODEL_NAME) == 0 ? put(msg, &info, sizeof(info)) : PSA_ERROR_DOES_NOT_EXIST;
}

psa_status_t tfm_model_store_init(void)
{
	return PSA_SUCCESS;
}

psa_status_t tfm_model_store_service_sfn(const psa_msg_t *msg)
{
	switch (msg->type) {
	case TFM_MODEL_STORE_GET_ACTIVE:
	case TFM_MODEL_STORE_LIST: /* the one there is */
		return put(msg, &info, sizeof(info));
	case TFM_MODEL_STORE_SELECT:
		return select(msg);
	case TFM_MODEL_STORE_READ_ACTIVE:
		/* models are for the secure side */
		return msg->client_id < 0 ? PSA_ERROR_NOT_PERMITTED : put(msg, fixed_model, FIXED_MODEL_SIZE);
	default:
		return PSA_ERROR_NOT_SUPPORTED;
	}
}
