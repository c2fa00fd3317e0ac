/* SPDX-License-Identifier: Apache-2.0 */
#include "builtin_keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "aead.h"
#include "cbor_encode.h"
#include "device.h"
#include "ecdsa.h"
#include "key_derivation.h"
#include "fih.h"
#include "log.h"
#include "psa_manifest/pid.h"
#include "sha256.h"
#include "device_keys.h"

struct builtin_key {
	const psa_key_id_t id;
	const int32_t signer; /* the partition that may sign with it */
	const char *const label;
	bool has_private, has_point;
	uint8_t private[ECDSA_KEY_SIZE];
	uint8_t point[ECDSA_PUBLIC_KEY_SIZE];
};

static struct builtin_key keys[] = {
	{ .id = TFM_BUILTIN_KEY_ID_IAK, .signer = TFM_SP_INITIAL_ATTESTATION, .label = KEY_LABEL_IAK },
	{ .id = TFM_BUILTIN_KEY_ID_RESULT, .signer = TFM_SP_INFERENCE, .label = KEY_LABEL_RESULT },
	{ .id = TFM_BUILTIN_KEY_ID_CLIENT, .signer = TFM_SP_INFERENCE, .label = KEY_LABEL_CLIENT },
};

struct builtin_aes_key {
	const psa_key_id_t id;
	const int32_t user; /* the partition that may use it */
	const char *const label;
	bool is_there;
	uint8_t key[AEAD_KEY_SIZE];
};

static struct builtin_aes_key aes_keys[] = {
	{ .id = TFM_BUILTIN_KEY_ID_RESULT_ENCRYPTION, .user = TFM_SP_INFERENCE, .label = KEY_LABEL_RESULT_ENCRYPTION },
	{ .id = TFM_BUILTIN_KEY_ID_STORAGE, .user = TFM_SP_PS, .label = KEY_LABEL_STORAGE },
};

static psa_status_t find(psa_key_id_t id, struct builtin_key **found)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (keys[i].id == id) {
			*found = &keys[i];
			return PSA_SUCCESS;
		}
	}
	return id == TFM_BUILTIN_KEY_ID_HUK ? PSA_ERROR_NOT_PERMITTED : PSA_ERROR_INVALID_HANDLE;
}

/* The key with its private part there. */
static psa_status_t load(psa_key_id_t id, struct builtin_key **found)
{
	struct builtin_key *key;
	const psa_status_t status = find(id, &key);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (device()->otp_state != OTP_OK) {
		return PSA_ERROR_BAD_STATE;
	}
	if (!key->has_private) {
		derive_p256_key(device()->otp.huk, key->label, key->private);
		key->has_private = true;
	}
	*found = key;
	return PSA_SUCCESS;
}

psa_status_t builtin_public_key(psa_key_id_t id, const uint8_t **point)
{
	struct builtin_key *key;
	const psa_status_t status = load(id, &key);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (!key->has_point) {
		if (!ecdsa_public_key(key->private, key->point)) {
			return PSA_ERROR_CORRUPTION_DETECTED;
		}
		key->has_point = true;
	}
	*point = key->point;
	return PSA_SUCCESS;
}

DECISION psa_status_t builtin_sign(psa_key_id_t id, int32_t partition, const uint8_t digest[32], uint8_t signature[64])
{
	struct builtin_key *key;
	psa_status_t status = find(id, &key);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (key->signer != partition) {
		return PSA_ERROR_NOT_PERMITTED;
	}
	if (!device_may_sign()) {
		return PSA_ERROR_BAD_STATE;
	}
	status = load(id, &key);
	if (status != PSA_SUCCESS) {
		return status;
	}
	FIH_REQUIRE(fih_of(key->signer == partition && device_may_sign()));
	return ecdsa_sign(key->private, digest, signature) ? PSA_SUCCESS : PSA_ERROR_CORRUPTION_DETECTED;
}

psa_status_t builtin_aes_key(psa_key_id_t id, int32_t partition, const uint8_t **key)
{
	for (size_t i = 0; i < sizeof aes_keys / sizeof aes_keys[0]; i++) {
		struct builtin_aes_key *const found = &aes_keys[i];

		if (found->id != id) {
			continue;
		}
		if (found->user != partition) {
			return PSA_ERROR_NOT_PERMITTED;
		}
		if (device()->otp_state != OTP_OK) {
			return PSA_ERROR_BAD_STATE;
		}
		if (!found->is_there) {
			derive_aes_key(device()->otp.huk, found->label, found->key);
			found->is_there = true;
		}
		*key = found->key;
		return PSA_SUCCESS;
	}
	return PSA_ERROR_INVALID_HANDLE;
}

psa_status_t builtin_instance_id(uint8_t id[33])
{
	uint8_t cose_key[80];
	const uint8_t *point;
	struct cbor_out out;
	const psa_status_t status = builtin_public_key(TFM_BUILTIN_KEY_ID_IAK, &point);

	if (status != PSA_SUCCESS) {
		return status;
	}
	cbor_out_init(&out, cose_key, sizeof cose_key); /* {1: 2, -1: 1, -2: x, -3: y} */
	cbor_put_map(&out, 4);
	cbor_put_int(&out, 1);
	cbor_put_uint(&out, 2);
	cbor_put_int(&out, -1);
	cbor_put_uint(&out, 1);
	cbor_put_int(&out, -2);
	cbor_put_bytes(&out, point + 1, 32);
	cbor_put_int(&out, -3);
	cbor_put_bytes(&out, point + 33, 32);
	if (out.overflow) {
		return PSA_ERROR_GENERIC_ERROR;
	}
	id[0] = 0x01;
	sha256(cose_key, out.used, id + 1);
	return PSA_SUCCESS;
}
