/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that the platform holds, by the names the partition uses.
 */
#ifndef DEVICE_KEYS_H
#define DEVICE_KEYS_H

#include "tfm_builtin_key_ids.h"

#endif
