/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots of TF-M's key loader driver, one for each key of builtin_keys.c, and the longest key in bytes.
 */
#ifndef PLATFORM_BUILTIN_KEY_LOADER_IDS_H
#define PLATFORM_BUILTIN_KEY_LOADER_IDS_H

#define TFM_BUILTIN_MAX_KEY_LEN 48

enum psa_drv_slot_number_t {
	TFM_BUILTIN_KEY_SLOT_HUK,
	TFM_BUILTIN_KEY_SLOT_IAK,
	TFM_BUILTIN_KEY_SLOT_RESULT,
	TFM_BUILTIN_KEY_SLOT_CLIENT,
	TFM_BUILTIN_KEY_SLOT_MAX,
};

#endif
