/* SPDX-License-Identifier: Apache-2.0 */
#include "result.h"

#include "cbor_encode.h"

#define CBOR_TAG_COSE_SIGN1 18u

/* EAT claims (RFC 9711, RFC 9783) and private-use ones. */
#define CLAIM_NONCE 10
#define CLAIM_INSTANCE_ID 256
#define CLAIM_BOOT_SEED 268
#define CLAIM_MODEL_ID (-70001)
#define CLAIM_INPUT_SOURCE (-70002)
#define CLAIM_INPUT_DIGEST (-70003)
#define CLAIM_OUTPUTS (-70004)
#define CLAIM_COUNTER (-70005)
#define CLAIM_START_TICKS (-70006)
#define CLAIM_END_TICKS (-70007)
#define CLAIM_COUNTER_HZ (-70008)
#define CLAIM_TOTAL 11u

#define PAYLOAD_MAX (RESULT_MAX_OUTPUT + 512u)
#define SIG_STRUCTURE_MAX (PAYLOAD_MAX + 32u)

/* {1: -7}, that is {alg: ES256}. */
static const uint8_t protected_header[] = { 0xa1, 0x01, 0x26 };

static void put_output(struct cbor_out *out, const struct result_tensor *tensor)
{
	cbor_put_array(out, 1);
	cbor_put_array(out, 5);
	cbor_put_bytes(out, tensor->data, tensor->len);
	cbor_put_text(out, "int8");
	cbor_put_array(out, tensor->rank);
	for (uint32_t i = 0; i < tensor->rank; i++) {
		cbor_put_int(out, tensor->shape[i]);
	}
	cbor_put_float32(out, tensor->scale);
	cbor_put_int(out, tensor->zero_point);
}

static void put_claims(struct cbor_out *out, const struct result_claims *claims)
{
	cbor_put_map(out, CLAIM_TOTAL);
	cbor_put_int(out, CLAIM_NONCE);
	cbor_put_bytes(out, claims->nonce, claims->nonce_len);
	cbor_put_int(out, CLAIM_INSTANCE_ID);
	cbor_put_bytes(out, claims->instance_id, sizeof(claims->instance_id));
	cbor_put_int(out, CLAIM_BOOT_SEED);
	cbor_put_bytes(out, claims->boot_seed, sizeof(claims->boot_seed));
	cbor_put_int(out, CLAIM_MODEL_ID);
	cbor_put_bytes(out, claims->model_id, sizeof(claims->model_id));
	cbor_put_int(out, CLAIM_INPUT_SOURCE);
	cbor_put_uint(out, claims->source);
	cbor_put_int(out, CLAIM_INPUT_DIGEST);
	cbor_put_bytes(out, claims->input_digest, sizeof(claims->input_digest));
	cbor_put_int(out, CLAIM_OUTPUTS);
	put_output(out, &claims->output);
	cbor_put_int(out, CLAIM_COUNTER);
	cbor_put_uint(out, claims->counter);
	cbor_put_int(out, CLAIM_START_TICKS);
	cbor_put_uint(out, claims->start_ticks);
	cbor_put_int(out, CLAIM_END_TICKS);
	cbor_put_uint(out, claims->end_ticks);
	cbor_put_int(out, CLAIM_COUNTER_HZ);
	cbor_put_uint(out, claims->counter_hz);
}

/* Sig_structure of RFC 9052, section 4.4, without external data. */
static void put_sig_structure(struct cbor_out *out, const uint8_t *payload, size_t len)
{
	cbor_put_array(out, 4);
	cbor_put_text(out, "Signature1");
	cbor_put_bytes(out, protected_header, sizeof(protected_header));
	cbor_put_bytes(out, NULL, 0);
	cbor_put_bytes(out, payload, len);
}

psa_status_t result_sign(const struct result_claims *claims, result_hasher *hasher, result_signer *signer, uint8_t *out,
			 size_t size, size_t *len)
{
	static uint8_t payload_bytes[PAYLOAD_MAX];
	static uint8_t to_be_signed_bytes[SIG_STRUCTURE_MAX];
	uint8_t hash[RESULT_HASH_SIZE];
	uint8_t signature[RESULT_SIGNATURE_SIZE];
	struct cbor_out payload, to_be_signed, message;

	cbor_out_init(&payload, payload_bytes, sizeof(payload_bytes));
	put_claims(&payload, claims);
	cbor_out_init(&to_be_signed, to_be_signed_bytes, sizeof(to_be_signed_bytes));
	put_sig_structure(&to_be_signed, payload.buf, payload.used);
	if (payload.overflow || to_be_signed.overflow) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	psa_status_t status = hasher(to_be_signed.buf, to_be_signed.used, hash);

	if (status == PSA_SUCCESS) {
		status = signer(hash, signature);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_out_init(&message, out, size);
	cbor_put_tag(&message, CBOR_TAG_COSE_SIGN1);
	cbor_put_array(&message, 4);
	cbor_put_bytes(&message, protected_header, sizeof(protected_header));
	cbor_put_map(&message, 0);
	cbor_put_bytes(&message, payload.buf, payload.used);
	cbor_put_bytes(&message, signature, sizeof(signature));
	*len = message.used;
	return message.overflow ? PSA_ERROR_BUFFER_TOO_SMALL : PSA_SUCCESS;
}
