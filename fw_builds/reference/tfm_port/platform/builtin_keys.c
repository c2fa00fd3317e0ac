/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that the platform holds, for TF-M's key loader: where each comes from and who may use it for what. This table
 * takes the place of TF-M's own (PLATFORM_DEFAULT_CRYPTO_KEYS=OFF).
 *
 * VENDOR: HUK and IAK come from TF-M's OTP here. The keys of the inference partition are derived from the HUK; read them
 * from where they were provisioned instead, if they were.
 */
#include <string.h>

#include "derive.h"
#include "psa_manifest/pid.h"
#include "tfm_builtin_key_ids.h"
#include "tfm_builtin_key_loader.h"
#include "tfm_plat_crypto_keys.h"
#include "tfm_plat_otp.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* TF-M v2.2 hands each loader the context of its table entry; v2.1 has none. */
#ifdef KEY_LOADERS_TAKE_A_CONTEXT
#define LOADER(name)                                                                                        \
	static enum tfm_plat_err_t name(const void *context, uint8_t *buf, size_t buf_len, size_t *key_len, \
					psa_key_bits_t *key_bits, psa_algorithm_t *algorithm, psa_key_type_t *type)
#define UNUSED_CONTEXT() ((void)context)
#else
#define LOADER(name)                                                                                             \
	static enum tfm_plat_err_t name(uint8_t *buf, size_t buf_len, size_t *key_len, psa_key_bits_t *key_bits, \
					psa_algorithm_t *algorithm, psa_key_type_t *type)
#define UNUSED_CONTEXT() ((void)0)
#endif

LOADER(load_huk)
{
	UNUSED_CONTEXT();
	*algorithm = PSA_ALG_HKDF(PSA_ALG_SHA_256);
	*type = PSA_KEY_TYPE_DERIVE;
	if (tfm_plat_otp_get_size(PLAT_OTP_ID_HUK, key_len) != TFM_PLAT_ERR_SUCCESS || *key_len > buf_len) {
		return TFM_PLAT_ERR_SYSTEM_ERR;
	}
	*key_bits = *key_len * 8u;
	return tfm_plat_otp_read(PLAT_OTP_ID_HUK, *key_len, buf);
}

#ifdef PORT_HAS_IAK
/* P-256: what the partition's instance id and the harness's checks of tokens are about. */
LOADER(load_iak)
{
	UNUSED_CONTEXT();
	*algorithm = PSA_ALG_ECDSA(PSA_ALG_SHA_256);
	*type = PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1);
	*key_len = DERIVE_KEY_SIZE;
	*key_bits = DERIVE_KEY_SIZE * 8u;
	return buf_len < *key_len ? TFM_PLAT_ERR_SYSTEM_ERR : tfm_plat_otp_read(PLAT_OTP_ID_IAK, *key_len, buf);
}
#endif

static enum tfm_plat_err_t load_derived(const char *label, uint8_t *buf, size_t buf_len, size_t *key_len,
					psa_key_bits_t *key_bits, psa_algorithm_t *algorithm, psa_key_type_t *type)
{
	/* The policy's algorithm must be the one that the partition signs with. */
	*algorithm = PSA_ALG_DETERMINISTIC_ECDSA(PSA_ALG_SHA_256);
	*type = PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1);
	*key_len = DERIVE_KEY_SIZE;
	*key_bits = DERIVE_KEY_SIZE * 8u;
	return buf_len >= *key_len && derive_p256_key(label, buf) ? TFM_PLAT_ERR_SUCCESS : TFM_PLAT_ERR_SYSTEM_ERR;
}

LOADER(load_result)
{
	UNUSED_CONTEXT();
	return load_derived("tfm-harness/result/v1", buf, buf_len, key_len, key_bits, algorithm, type);
}

LOADER(load_client)
{
	UNUSED_CONTEXT();
	return load_derived("tfm-harness/client/v1", buf, buf_len, key_len, key_bits, algorithm, type);
}

/* Who may sign. A public key needs no usage: everyone may have it. */
#ifdef PORT_HAS_IAK
static const tfm_plat_builtin_key_per_user_policy_t iak_users[] = {
	{ .user = TFM_SP_INITIAL_ATTESTATION, .usage = PSA_KEY_USAGE_SIGN_HASH },
};
#endif
static const tfm_plat_builtin_key_per_user_policy_t inference_users[] = {
	{ .user = TFM_SP_INFERENCE, .usage = PSA_KEY_USAGE_SIGN_HASH },
};

#define USED_BY(id, users) { .key_id = (id), .per_user_policy = COUNT_OF(users), .policy_ptr = (users) }

static const tfm_plat_builtin_key_policy_t policies[] = {
	{ .key_id = TFM_BUILTIN_KEY_ID_HUK, .per_user_policy = 0, .usage = PSA_KEY_USAGE_DERIVE },
#ifdef PORT_HAS_IAK
	USED_BY(TFM_BUILTIN_KEY_ID_IAK, iak_users),
#endif
	USED_BY(TFM_BUILTIN_KEY_ID_RESULT, inference_users),
	USED_BY(TFM_BUILTIN_KEY_ID_CLIENT, inference_users),
};

#define KEY(id, slot, loader)                          \
	{ .key_id = (id),                              \
	  .slot_number = (slot),                       \
	  .lifetime = TFM_BUILTIN_KEY_LOADER_LIFETIME, \
	  .loader_key_func = (loader) }

static const tfm_plat_builtin_key_descriptor_t keys[] = {
	KEY(TFM_BUILTIN_KEY_ID_HUK, TFM_BUILTIN_KEY_SLOT_HUK, load_huk),
#ifdef PORT_HAS_IAK
	KEY(TFM_BUILTIN_KEY_ID_IAK, TFM_BUILTIN_KEY_SLOT_IAK, load_iak),
#endif
	KEY(TFM_BUILTIN_KEY_ID_RESULT, TFM_BUILTIN_KEY_SLOT_RESULT, load_result),
	KEY(TFM_BUILTIN_KEY_ID_CLIENT, TFM_BUILTIN_KEY_SLOT_CLIENT, load_client),
};

size_t tfm_plat_builtin_key_get_policy_table_ptr(const tfm_plat_builtin_key_policy_t *table[])
{
	*table = policies;
	return COUNT_OF(policies);
}

size_t tfm_plat_builtin_key_get_desc_table_ptr(const tfm_plat_builtin_key_descriptor_t *table[])
{
	*table = keys;
	return COUNT_OF(keys);
}
