/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's one store in its NV area, mounted at boot.
 */
#ifndef NV_H
#define NV_H

#include "its_store.h"

/* False: the area holds something, but not a whole store; the device must not go on without its counters. */
bool nv_mount(void);

struct its_store *nv_store(void);

#endif
