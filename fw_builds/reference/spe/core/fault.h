/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Violations: caught, recorded, and survived when the non-secure side is to blame.
 */
#ifndef SPE_FAULT_H
#define SPE_FAULT_H

#include "device_ioctl.h"

/* The records so far. */
void fault_snapshot(struct tfm_platform_faults *out);

#endif
