/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <string.h>

#include "cbor_encode.h"
#include "platform_client.h"
#include "psa/crypto.h"
#include "device_keys.h"
#include "tfm_inference_defs.h"

#define ES256 PSA_ALG_DETERMINISTIC_ECDSA(PSA_ALG_SHA_256)

/* COSE_Key labels and values (RFC 9052 section 7, RFC 9053 section 7.1). */
#define COSE_KEY_KTY 1
#define COSE_KEY_KTY_EC2 2u
#define COSE_KEY_CRV (-1)
#define COSE_KEY_CRV_P256 1u
#define COSE_KEY_X (-2)
#define COSE_KEY_Y (-3)
#define COORDINATE_SIZE 32u

#define INSTANCE_ID_TYPE_RAND 0x01u

/* TF-M's crypto service copies the vectors of a call: CRYPTO_IOVEC_BUFFER_SIZE, 5,120 bytes by default, is all it takes. */
#define HASH_PIECE 2048u

/*
 * What the instance id is a hash of. Results and tokens of a device must name one id: TF-M up to 2.1 hashes the point
 * (04 || X || Y), TF-M from 2.2 on and this firmware the COSE_Key.
 */
#ifndef INFERENCE_INSTANCE_ID_OF_POINT
#define INFERENCE_INSTANCE_ID_OF_POINT 0
#endif

static psa_status_t key_id(uint32_t key, psa_key_id_t *id)
{
	switch (key) {
	case TFM_INFERENCE_KEY_IAK:
		*id = TFM_BUILTIN_KEY_ID_IAK;
		return PSA_SUCCESS;
	case TFM_INFERENCE_KEY_RESULT:
		*id = TFM_BUILTIN_KEY_ID_RESULT;
		return PSA_SUCCESS;
	case TFM_INFERENCE_KEY_CLIENT:
		*id = TFM_BUILTIN_KEY_ID_CLIENT;
		return PSA_SUCCESS;
	default:
		return PSA_ERROR_INVALID_ARGUMENT;
	}
}

static psa_status_t public_point(uint32_t key, uint8_t point[CSR_POINT_SIZE])
{
	psa_key_id_t id;
	size_t len;
	psa_status_t status = key_id(key, &id);

	if (status == PSA_SUCCESS) {
		status = psa_export_public_key(id, point, CSR_POINT_SIZE, &len);
	}
	if (status == PSA_SUCCESS && (len != CSR_POINT_SIZE || point[0] != 0x04)) {
		return PSA_ERROR_GENERIC_ERROR;
	}
	return status;
}

psa_status_t identity_hash(const uint8_t *data, size_t len, uint8_t hash[RESULT_HASH_SIZE])
{
	psa_hash_operation_t operation = PSA_HASH_OPERATION_INIT;
	size_t hash_len;
	psa_status_t status = psa_hash_setup(&operation, PSA_ALG_SHA_256);

	for (size_t at = 0; at < len && status == PSA_SUCCESS; at += HASH_PIECE) {
		status = psa_hash_update(&operation, data + at, len - at < HASH_PIECE ? len - at : HASH_PIECE);
	}
	if (status == PSA_SUCCESS) {
		status = psa_hash_finish(&operation, hash, RESULT_HASH_SIZE, &hash_len);
	}
	if (status != PSA_SUCCESS) {
		(void)psa_hash_abort(&operation);
	}
	return status;
}

static psa_status_t sign(psa_key_id_t id, const uint8_t hash[RESULT_HASH_SIZE],
			 uint8_t signature[RESULT_SIGNATURE_SIZE])
{
	size_t len;
	psa_status_t status = psa_sign_hash(id, ES256, hash, RESULT_HASH_SIZE, signature, RESULT_SIGNATURE_SIZE, &len);

	return status == PSA_SUCCESS && len != RESULT_SIGNATURE_SIZE ? PSA_ERROR_GENERIC_ERROR : status;
}

static psa_status_t sign_with_client(const uint8_t hash[RESULT_HASH_SIZE], uint8_t signature[RESULT_SIGNATURE_SIZE])
{
	return sign(TFM_BUILTIN_KEY_ID_CLIENT, hash, signature);
}

static psa_status_t sign_with_result(const uint8_t hash[RESULT_HASH_SIZE], uint8_t signature[RESULT_SIGNATURE_SIZE])
{
	return sign(TFM_BUILTIN_KEY_ID_RESULT, hash, signature);
}

psa_status_t identity_sign_result(const uint8_t hash[RESULT_HASH_SIZE], uint8_t signature[RESULT_SIGNATURE_SIZE])
{
	return sign_with_result(hash, signature);
}

psa_status_t identity_cose_key(uint32_t key, uint8_t *out, size_t size, size_t *len)
{
	uint8_t point[CSR_POINT_SIZE];
	struct cbor_out cbor;
	psa_status_t status = public_point(key, point);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_out_init(&cbor, out, size);
	cbor_put_map(&cbor, 4);
	cbor_put_int(&cbor, COSE_KEY_KTY);
	cbor_put_uint(&cbor, COSE_KEY_KTY_EC2);
	cbor_put_int(&cbor, COSE_KEY_CRV);
	cbor_put_uint(&cbor, COSE_KEY_CRV_P256);
	cbor_put_int(&cbor, COSE_KEY_X);
	cbor_put_bytes(&cbor, point + 1, COORDINATE_SIZE);
	cbor_put_int(&cbor, COSE_KEY_Y);
	cbor_put_bytes(&cbor, point + 1 + COORDINATE_SIZE, COORDINATE_SIZE);
	*len = cbor.used;
	return cbor.overflow ? PSA_ERROR_BUFFER_TOO_SMALL : PSA_SUCCESS;
}

static psa_status_t hash_attestation_key(uint8_t hash[RESULT_HASH_SIZE])
{
	uint8_t key[TFM_INFERENCE_COSE_KEY_MAX];
	size_t len = CSR_POINT_SIZE;
	psa_status_t status;

	_Static_assert(sizeof key >= CSR_POINT_SIZE, "a point fits where a COSE_Key does");
	if (INFERENCE_INSTANCE_ID_OF_POINT) {
		status = public_point(TFM_INFERENCE_KEY_IAK, key);
	} else {
		status = identity_cose_key(TFM_INFERENCE_KEY_IAK, key, sizeof key, &len);
	}
	return status == PSA_SUCCESS ? identity_hash(key, len, hash) : status;
}

psa_status_t identity_instance_id(uint8_t id[RESULT_INSTANCE_ID_SIZE])
{
	/* Computing the public key takes as long as a signature, and it is the same until the next boot. */
	static uint8_t known[RESULT_INSTANCE_ID_SIZE];

	if (known[0] != INSTANCE_ID_TYPE_RAND) {
		const psa_status_t status = hash_attestation_key(known + 1);

		if (status != PSA_SUCCESS) {
			return status;
		}
		known[0] = INSTANCE_ID_TYPE_RAND;
	}
	memcpy(id, known, sizeof(known));
	return PSA_SUCCESS;
}

static void uuid_text(const uint8_t uuid[PLATFORM_UUID_SIZE], char text[IDENTITY_UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < PLATFORM_UUID_SIZE; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			*text++ = '-';
		}
		*text++ = digits[uuid[i] >> 4];
		*text++ = digits[uuid[i] & 0x0f];
	}
	*text = '\0';
}

psa_status_t identity_csr(uint32_t key, uint8_t *buf, size_t size, const uint8_t **csr, size_t *len)
{
	uint8_t uuid[PLATFORM_UUID_SIZE], point[CSR_POINT_SIZE];
	char common_name[IDENTITY_UUID_TEXT_SIZE];

	if (key != TFM_INFERENCE_KEY_RESULT && key != TFM_INFERENCE_KEY_CLIENT) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_status_t status = platform_uuid(uuid);

	if (status == PSA_SUCCESS) {
		status = public_point(key, point);
	}
	if (status != PSA_SUCCESS) {
		return status;
	}
	uuid_text(uuid, common_name);
	return csr_make(common_name, point, identity_hash,
			key == TFM_INFERENCE_KEY_RESULT ? sign_with_result : sign_with_client, buf, size, csr, len);
}
