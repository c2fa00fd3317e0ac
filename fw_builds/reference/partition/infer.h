/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One inference with its signed result.
 */
#ifndef INFER_H
#define INFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"
#include "tfm_inference_defs.h"

/*
 * Infer from the sensor window or from input[0..input_len) and sign what came out into out[0..size); `encrypted`: and
 * encrypt the signed result.
 *
 * PSA_ERROR_INVALID_ARGUMENT: nonce, source or input size; PSA_ERROR_BAD_STATE: window not full, or no identity;
 * PSA_ERROR_DOES_NOT_EXIST: no active model, or not the one expected; PSA_ERROR_NOT_SUPPORTED: the model does not take a
 * sensor window; or what the services below return. `phases->entered` is the caller's.
 */
psa_status_t infer_run(const struct tfm_inference_run *request, const uint8_t *input, size_t input_len, bool encrypted,
		       uint8_t *out, size_t size, size_t *len, struct tfm_inference_phases *phases);

#endif
