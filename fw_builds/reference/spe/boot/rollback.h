/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The security counters that the device has seen, in its NV store: one for each owner and image name.
 */
#ifndef ROLLBACK_H
#define ROLLBACK_H

#include <stdbool.h>
#include <stdint.h>

/* The lowest counter an image of this name may have. */
uint32_t rollback_lowest(int32_t owner, const char *name);

/* Remember a verified image's counter. False: it cannot be stored, the image must not be used. */
bool rollback_raise(int32_t owner, const char *name, uint32_t counter);

#endif
