/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Initial Attestation: a COSE_Sign1 (RFC 9052) over the claims of the profile built in.
 */
#include <string.h>

#include "attest_profile.h"
#include "builtin_keys.h"
#include "cbor_encode.h"
#include "device.h"
#include "model_store.h"
#include "psa/crypto.h"
#include "psa/initial_attestation.h"
#include "services.h"
#include "tfm_attest_defs.h"
#include "device_keys.h"

#define COSE_SIGN1_TAG 18u
#define ES256 PSA_ALG_DETERMINISTIC_ECDSA(PSA_ALG_SHA_256)
#define MAX_CLAIMS_SIZE 800u
#define MAX_CHALLENGE PSA_INITIAL_ATTEST_CHALLENGE_SIZE_64

static const uint8_t protected_header[] = { 0xA1, 0x01, 0x26 }; /* {1: -7}: ES256 */

static void put_component(struct cbor_out *out, const char *type, const struct measurement *measured)
{
	cbor_put_map(out, 4);
	cbor_put_uint(out, COMPONENT_TYPE);
	cbor_put_text(out, type);
	cbor_put_uint(out, COMPONENT_VALUE);
	cbor_put_bytes(out, measured->digest, sizeof measured->digest);
	cbor_put_uint(out, COMPONENT_VERSION);
	cbor_put_text(out, measured->version);
	cbor_put_uint(out, COMPONENT_SIGNER);
	cbor_put_bytes(out, measured->signer, sizeof measured->signer);
}

static void put_components(struct cbor_out *out)
{
	struct measurement model;
	const bool has_model = model_store_measurement(&model);

	cbor_put_int(out, CLAIM_SOFTWARE_COMPONENTS);
	cbor_put_array(out, has_model ? 3 : 2);
	put_component(out, "SPE", &device()->spe);
	put_component(out, "NSPE", &device()->nspe);
	if (has_model) {
		put_component(out, "MODEL", &model);
	}
}

static void put_text_claim(struct cbor_out *out, enum attest_claim claim, const char *text)
{
	if (text[0] != '\0') {
		cbor_put_int(out, claim);
		cbor_put_text(out, text);
	}
}

static void put_bytes_claim(struct cbor_out *out, enum attest_claim claim, const void *data, size_t len)
{
	cbor_put_int(out, claim);
	cbor_put_bytes(out, data, len);
}

static void put_claims(struct cbor_out *out, const uint8_t *challenge, size_t challenge_size, int32_t client_id,
		       const uint8_t instance_id[33])
{
	const struct device *const d = device();
	const struct otp *const otp = &d->otp;
	size_t claims = 8;

	claims += otp->certification_reference[0] != '\0' ? 1 : 0;
	claims += otp->verification_service[0] != '\0' ? 1 : 0;
	cbor_put_map(out, claims);
	put_bytes_claim(out, CLAIM_NONCE, challenge, challenge_size);
	put_bytes_claim(out, CLAIM_INSTANCE_ID, instance_id, 33);
	put_text_claim(out, CLAIM_PROFILE, ATTEST_PROFILE_NAME);
	put_bytes_claim(out, CLAIM_BOOT_SEED, d->boot_seed, sizeof d->boot_seed);
	cbor_put_int(out, CLAIM_CLIENT_ID);
	cbor_put_int(out, client_id);
	cbor_put_int(out, CLAIM_LIFECYCLE);
	cbor_put_uint(out, otp->lifecycle);
	put_bytes_claim(out, CLAIM_IMPLEMENTATION_ID, otp->implementation_id, sizeof otp->implementation_id);
	put_text_claim(out, CLAIM_CERTIFICATION_REFERENCE, otp->certification_reference);
	put_components(out);
	put_text_claim(out, CLAIM_VERIFICATION_SERVICE, otp->verification_service);
}

/* Sig_structure (RFC 9052, 4.4): ["Signature1", protected, h'', payload]. */
static psa_status_t sign(const uint8_t *claims, size_t claims_len, uint8_t signature[PSA_SIGNATURE_MAX_SIZE])
{
	static uint8_t buffer[MAX_CLAIMS_SIZE + 32u];
	struct cbor_out out;
	size_t len;

	cbor_out_init(&out, buffer, sizeof buffer);
	cbor_put_array(&out, 4);
	cbor_put_text(&out, "Signature1");
	cbor_put_bytes(&out, protected_header, sizeof protected_header);
	cbor_put_bytes(&out, NULL, 0);
	cbor_put_bytes(&out, claims, claims_len);
	if (out.overflow) {
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	}
	return psa_sign_message(TFM_BUILTIN_KEY_ID_IAK, ES256, buffer, out.used, signature, PSA_SIGNATURE_MAX_SIZE,
				&len);
}

/* The token in `token`; with `measure_only` its length alone, and no signature made. */
static psa_status_t make_token(const uint8_t *challenge, size_t challenge_size, int32_t client_id, bool measure_only,
			       uint8_t *token, size_t size, size_t *token_len)
{
	static uint8_t claims[MAX_CLAIMS_SIZE];
	uint8_t instance_id[33];
	uint8_t signature[PSA_SIGNATURE_MAX_SIZE] = { 0 };
	struct cbor_out out;

	if (challenge_size != PSA_INITIAL_ATTEST_CHALLENGE_SIZE_32 &&
	    challenge_size != PSA_INITIAL_ATTEST_CHALLENGE_SIZE_48 &&
	    challenge_size != PSA_INITIAL_ATTEST_CHALLENGE_SIZE_64) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (!device_may_sign()) {
		return PSA_ERROR_BAD_STATE;
	}
	psa_status_t status = builtin_instance_id(instance_id);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_out_init(&out, claims, sizeof claims);
	put_claims(&out, challenge, challenge_size, client_id, instance_id);
	if (out.overflow) {
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	}
	const size_t claims_len = out.used;

	if (!measure_only) {
		status = sign(claims, claims_len, signature);
		if (status != PSA_SUCCESS) {
			return status;
		}
	}
	cbor_out_init(&out, token, size);
	cbor_put_tag(&out, COSE_SIGN1_TAG);
	cbor_put_array(&out, 4);
	cbor_put_bytes(&out, protected_header, sizeof protected_header);
	cbor_put_map(&out, 0);
	cbor_put_bytes(&out, claims, claims_len);
	cbor_put_bytes(&out, signature, sizeof signature);
	if (out.overflow) {
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	}
	*token_len = out.used;
	return PSA_SUCCESS;
}

static psa_status_t get_token(const psa_msg_t *msg)
{
	static uint8_t token[PSA_INITIAL_ATTEST_MAX_TOKEN_SIZE];
	uint8_t challenge[MAX_CHALLENGE];
	size_t len;

	if (msg->in_size[0] > sizeof challenge) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	(void)psa_read(msg->handle, 0, challenge, sizeof challenge);
	/* The length first: a buffer that is too small costs no signature. */
	psa_status_t status = make_token(challenge, msg->in_size[0], msg->client_id, true, token, sizeof token, &len);

	if (status == PSA_SUCCESS && len > msg->out_size[0]) {
		status = PSA_ERROR_BUFFER_TOO_SMALL;
	}
	if (status == PSA_SUCCESS) {
		status = make_token(challenge, msg->in_size[0], msg->client_id, false, token, sizeof token, &len);
	}
	if (status == PSA_SUCCESS) {
		psa_write(msg->handle, 0, token, len);
	}
	return status;
}

static psa_status_t get_token_size(const psa_msg_t *msg)
{
	static uint8_t token[PSA_INITIAL_ATTEST_MAX_TOKEN_SIZE];
	static const uint8_t challenge[MAX_CHALLENGE];
	uint32_t challenge_size, token_size;
	size_t len;

	if (msg->in_size[0] != sizeof challenge_size) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (msg->out_size[0] < sizeof token_size) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	(void)psa_read(msg->handle, 0, &challenge_size, sizeof challenge_size);
	const psa_status_t status =
		make_token(challenge, challenge_size, msg->client_id, true, token, sizeof token, &len);

	if (status == PSA_SUCCESS) {
		token_size = (uint32_t)len;
		psa_write(msg->handle, 0, &token_size, sizeof token_size);
	}
	return status;
}

psa_status_t tfm_attestation_service_sfn(const psa_msg_t *msg)
{
	switch (msg->type) {
	case TFM_ATTEST_GET_TOKEN:
		return get_token(msg);
	case TFM_ATTEST_GET_TOKEN_SIZE:
		return get_token_size(msg);
	default:
		return PSA_ERROR_NOT_SUPPORTED;
	}
}
