/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The active model in the partition's own memory, ready to run.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "nn.h"
#include "psa/service.h"
#include "result.h"
#include "tfm_inference_defs.h"

struct model {
	char name[TFM_INFERENCE_NAME_SIZE];
	uint8_t id[TFM_INFERENCE_ID_SIZE]; /* SHA-256 of the .tflite bytes */
	struct nn_model nn;
	int8_t *input;
	size_t input_size;
	struct result_tensor output;
};

/*
 * The active model, loaded anew if another became active. NULL and a status: PSA_ERROR_DOES_NOT_EXIST without an active
 * model, PSA_ERROR_INVALID_SIGNATURE when what was copied is not what the store has verified, PSA_ERROR_DATA_INVALID when
 * the interpreter refuses it, or what the model store returns.
 */
psa_status_t model_get(const struct model **model);

/* Run it on what stands in its input. PSA_ERROR_GENERIC_ERROR if the interpreter refuses. */
psa_status_t model_run(const struct model *model);

/* Call `observer` after each operator; NULL: no longer. */
void model_observe(nn_observer *observer, void *ctx);

#endif
