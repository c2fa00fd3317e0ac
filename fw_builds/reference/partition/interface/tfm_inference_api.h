/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inference service for its clients: one function a request. What the structures mean: tfm_inference_defs.h.
 *
 * All return a psa_status_t. Output lengths are set on success only. Nothing is kept between calls.
 */
#ifndef TFM_INFERENCE_API_H
#define TFM_INFERENCE_API_H

#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"
#include "tfm_inference_defs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the service is and which model is active. */
psa_status_t tfm_inference_info(struct tfm_inference_info *info);

/* Sample the sensor: one step, free running, stop, clear the window. */
psa_status_t tfm_inference_sample(const struct tfm_inference_sample *request, struct tfm_inference_sample_state *state);

/*
 * One inference, signed.
 *
 * run      source, nonce, and the model that must be active, if any
 * input    one input tensor for TFM_INFERENCE_SOURCE_HOST, else NULL and 0
 * result   gets the COSE_Sign1 message; TFM_INFERENCE_RESULT_MAX bytes always suffice
 * phases   gets the service's ticks; may be NULL
 */
psa_status_t tfm_inference_run(const struct tfm_inference_run *run, const void *input, size_t input_len,
			       uint8_t *result, size_t result_size, size_t *result_len,
			       struct tfm_inference_phases *phases);

/* A public key, COSE_Key: TFM_INFERENCE_KEY_*. */
psa_status_t tfm_inference_public_key(uint32_t key, uint8_t *cose_key, size_t size, size_t *len);

/* A certification request, PKCS#10 in DER: TFM_INFERENCE_KEY_RESULT or TFM_INFERENCE_KEY_CLIENT. */
psa_status_t tfm_inference_csr(uint32_t key, uint8_t *csr, size_t size, size_t *len);

#ifdef __cplusplus
}
#endif

#endif
