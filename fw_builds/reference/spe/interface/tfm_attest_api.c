/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Initial Attestation by psa_call(), for both sides of the boundary.
 */
#include "psa/client.h"
#include "psa/initial_attestation.h"
#include "psa_manifest/sid.h"
#include "tfm_attest_defs.h"

psa_status_t psa_initial_attest_get_token(const uint8_t *auth_challenge, size_t challenge_size, uint8_t *token_buf,
					  size_t token_buf_size, size_t *token_size)
{
	const psa_invec in_vec[] = { { auth_challenge, challenge_size } };
	psa_outvec out_vec[] = { { token_buf, token_buf_size } };

	const psa_status_t status =
		psa_call(TFM_ATTESTATION_SERVICE_HANDLE, TFM_ATTEST_GET_TOKEN, in_vec, 1, out_vec, 1);

	if (status == PSA_SUCCESS) {
		*token_size = out_vec[0].len;
	}
	return status;
}

psa_status_t psa_initial_attest_get_token_size(size_t challenge_size, size_t *token_size)
{
	const uint32_t challenge = (uint32_t)challenge_size;
	uint32_t token = 0;
	const psa_invec in_vec[] = { { &challenge, sizeof challenge } };
	psa_outvec out_vec[] = { { &token, sizeof token } };

	const psa_status_t status =
		psa_call(TFM_ATTESTATION_SERVICE_HANDLE, TFM_ATTEST_GET_TOKEN_SIZE, in_vec, 1, out_vec, 1);

	if (status == PSA_SUCCESS) {
		*token_size = token;
	}
	return status;
}
