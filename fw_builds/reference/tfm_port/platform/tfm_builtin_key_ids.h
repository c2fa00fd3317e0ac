/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of the keys that the platform holds. TF-M takes this header from the platform (PLATFORM_DEFAULT_CRYPTO_KEYS=OFF); its
 * own ids must stay what they are. Ids from PLAT_SPECIFIC_MIN on are the platform's.
 *
 * VENDOR: further keys of yours.
 */
#ifndef TFM_BUILTIN_KEY_IDS_H
#define TFM_BUILTIN_KEY_IDS_H

enum tfm_builtin_key_id_t {
	TFM_BUILTIN_KEY_ID_MIN = 0x7FFF815B,
	TFM_BUILTIN_KEY_ID_HUK = 0x7FFF815C,
	TFM_BUILTIN_KEY_ID_IAK = 0x7FFF815D,
	TFM_BUILTIN_KEY_ID_PLAT_SPECIFIC_MIN = 0x7FFF816B,
	TFM_BUILTIN_KEY_ID_RESULT = 0x7FFF816B, /* signs results, for the inference partition only */
	TFM_BUILTIN_KEY_ID_CLIENT = 0x7FFF816C, /* the device's TLS client key, for the inference partition only */
	TFM_BUILTIN_KEY_ID_MAX = 0x7FFF817B,
};

#endif
