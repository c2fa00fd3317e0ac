/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Initial Attestation API 1.0 (IHI 0085).
 */
#ifndef PSA_INITIAL_ATTESTATION_H
#define PSA_INITIAL_ATTESTATION_H

#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"

#define PSA_INITIAL_ATTEST_API_VERSION_MAJOR 1
#define PSA_INITIAL_ATTEST_API_VERSION_MINOR 0

#define PSA_INITIAL_ATTEST_CHALLENGE_SIZE_32 32u
#define PSA_INITIAL_ATTEST_CHALLENGE_SIZE_48 48u
#define PSA_INITIAL_ATTEST_CHALLENGE_SIZE_64 64u

#define PSA_INITIAL_ATTEST_MAX_TOKEN_SIZE 1024u

/*
 * A signed token (COSE_Sign1) with this challenge as nonce. PSA_ERROR_INVALID_ARGUMENT: the challenge is
 * not 32, 48 or 64 bytes; PSA_ERROR_BUFFER_TOO_SMALL; PSA_ERROR_BAD_STATE: no identity in OTP, or no entropy.
 */
psa_status_t psa_initial_attest_get_token(const uint8_t *auth_challenge, size_t challenge_size, uint8_t *token_buf,
					  size_t token_buf_size, size_t *token_size);

/* The exact size of the token for a challenge of this size. */
psa_status_t psa_initial_attest_get_token_size(size_t challenge_size, size_t *token_size);

#endif
