/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protected storage over psa_call(). A client is its partition; all of the non-secure side is one.
 */
#include "device_keys.h"
#include "memory_map.h"
#include "nv.h"
#include "ps_store.h"
#include "psa/crypto.h"
#include "psa_manifest/pid.h"
#include "services.h"
#include "wipe.h"

#define TABLE_UID 0x50530001u

_Static_assert(sizeof(uint32_t) == sizeof(size_t), "offsets travel as 32 bits");

static psa_status_t table_get(void *table, size_t size, size_t *len)
{
	return its_get(nv_store(), TFM_SP_PS, TABLE_UID, 0, size, table, len);
}

static psa_status_t table_set(const void *table, size_t size)
{
	return its_set(nv_store(), TFM_SP_PS, TABLE_UID, table, size, PSA_STORAGE_FLAG_NONE);
}

static psa_status_t encrypt(const uint8_t nonce[PS_NONCE_SIZE], const uint8_t *aad, size_t aad_len,
			    const uint8_t *plaintext, size_t len, uint8_t *ciphertext, size_t size,
			    size_t *ciphertext_len)
{
	return psa_aead_encrypt(TFM_BUILTIN_KEY_ID_STORAGE, PSA_ALG_GCM, nonce, PS_NONCE_SIZE, aad, aad_len, plaintext,
				len, ciphertext, size, ciphertext_len);
}

static psa_status_t decrypt(const uint8_t nonce[PS_NONCE_SIZE], const uint8_t *aad, size_t aad_len,
			    const uint8_t *ciphertext, size_t len, uint8_t *plaintext, size_t size,
			    size_t *plaintext_len)
{
	return psa_aead_decrypt(TFM_BUILTIN_KEY_ID_STORAGE, PSA_ALG_GCM, nonce, PS_NONCE_SIZE, aad, aad_len, ciphertext,
				len, plaintext, size, plaintext_len);
}

static const struct ps_backend backend = {
	.flash = (uint8_t *)NV_PS_FLASH_BASE,
	.table_get = table_get,
	.table_set = table_set,
	.encrypt = encrypt,
	.decrypt = decrypt,
};

static uint8_t object[PS_MAX_OBJECT_SIZE];

/* A fixed-size value in an input vector. */
static bool take(const psa_msg_t *msg, uint32_t vector, void *value, size_t size)
{
	return msg->in_size[vector] == size && psa_read(msg->handle, vector, value, size) == size;
}

static psa_status_t set(const psa_msg_t *msg, uint64_t uid)
{
	const size_t size = msg->in_size[1];
	uint32_t flags;

	if (!take(msg, 2, &flags, sizeof flags)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (size > sizeof object) {
		return PSA_ERROR_INSUFFICIENT_STORAGE;
	}
	(void)psa_read(msg->handle, 1, object, sizeof object);
	return ps_set(&backend, msg->client_id, uid, object, size, flags);
}

static psa_status_t get(const psa_msg_t *msg, uint64_t uid)
{
	uint32_t offset, flags;
	size_t size;

	if (!take(msg, 1, &offset, sizeof offset)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	const psa_status_t status = ps_get(&backend, msg->client_id, uid, object, &size, &flags);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (offset > size) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	const size_t left = size - offset;

	psa_write(msg->handle, 0, object + offset, left < msg->out_size[0] ? left : msg->out_size[0]);
	return PSA_SUCCESS;
}

static psa_status_t get_info(const psa_msg_t *msg, uint64_t uid)
{
	struct psa_storage_info_t info = { .capacity = PS_MAX_OBJECT_SIZE };

	if (msg->out_size[0] < sizeof info) {
		return PSA_ERROR_BUFFER_TOO_SMALL;
	}
	const psa_status_t status = ps_get(&backend, msg->client_id, uid, object, &info.size, &info.flags);

	if (status == PSA_SUCCESS) {
		psa_write(msg->handle, 0, &info, sizeof info);
	}
	return status;
}

static psa_status_t dispatch(const psa_msg_t *msg)
{
	uint64_t uid;

	if (msg->type < TFM_PS_SET || msg->type > TFM_PS_REMOVE) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	if (!take(msg, 0, &uid, sizeof uid)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	switch (msg->type) {
	case TFM_PS_SET:
		return set(msg, uid);
	case TFM_PS_GET:
		return get(msg, uid);
	case TFM_PS_GET_INFO:
		return get_info(msg, uid);
	default:
		return ps_remove(&backend, msg->client_id, uid);
	}
}

psa_status_t tfm_ps_service_sfn(const psa_msg_t *msg)
{
	const psa_status_t status = dispatch(msg);

	wipe(object, sizeof object);
	return status;
}
