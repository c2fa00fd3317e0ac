/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client side of the inference service: vectors in, psa_call, lengths out.
 */
#include "tfm_inference_api.h"

#include "psa/client.h"
#include "psa_manifest/sid.h"

static psa_status_t by_key(int32_t type, uint32_t key, uint8_t *out, size_t size, size_t *len)
{
	const psa_invec in[] = { { .base = &key, .len = sizeof(key) } };
	psa_outvec answer[] = { { .base = out, .len = size } };
	const psa_status_t status = psa_call(TFM_INFERENCE_SERVICE_HANDLE, type, in, 1, answer, 1);

	if (status == PSA_SUCCESS) {
		*len = answer[0].len;
	}
	return status;
}

psa_status_t tfm_inference_info(struct tfm_inference_info *info)
{
	psa_outvec out[] = { { .base = info, .len = sizeof(*info) } };

	return psa_call(TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_INFO, NULL, 0, out, 1);
}

psa_status_t tfm_inference_sample(const struct tfm_inference_sample *request, struct tfm_inference_sample_state *state)
{
	const psa_invec in[] = { { .base = request, .len = sizeof(*request) } };
	psa_outvec out[] = { { .base = state, .len = sizeof(*state) } };

	return psa_call(TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_SAMPLE, in, 1, out, 1);
}

psa_status_t tfm_inference_run(const struct tfm_inference_run *run, const void *input, size_t input_len,
			       uint8_t *result, size_t result_size, size_t *result_len,
			       struct tfm_inference_phases *phases)
{
	const psa_invec in[] = {
		{ .base = run, .len = sizeof(*run) },
		{ .base = input, .len = input_len },
	};
	struct tfm_inference_phases unwanted;
	psa_outvec out[] = {
		{ .base = result, .len = result_size },
		{ .base = phases != NULL ? phases : &unwanted, .len = sizeof(unwanted) },
	};
	const psa_status_t status =
		psa_call(TFM_INFERENCE_SERVICE_HANDLE, TFM_INFERENCE_RUN, in, input != NULL ? 2 : 1, out, 2);

	if (status == PSA_SUCCESS) {
		*result_len = out[0].len;
	}
	return status;
}

psa_status_t tfm_inference_public_key(uint32_t key, uint8_t *cose_key, size_t size, size_t *len)
{
	return by_key(TFM_INFERENCE_PUBLIC_KEY, key, cose_key, size, len);
}

psa_status_t tfm_inference_csr(uint32_t key, uint8_t *csr, size_t size, size_t *len)
{
	return by_key(TFM_INFERENCE_CSR, key, csr, size, len);
}
