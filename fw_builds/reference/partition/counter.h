/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The results' monotonic counter, in internal trusted storage.
 */
#ifndef COUNTER_H
#define COUNTER_H

#include <stdint.h>

#include "psa/error.h"

/*
 * The next value, stored before it is returned: whatever happens next, it is never given out again. The first is 1.
 * Returns PSA_ERROR_DATA_CORRUPT for a stored value that is not a counter, PSA_ERROR_BAD_STATE when the counter is
 * used up, or what the storage returns.
 */
psa_status_t counter_next(uint64_t *value);

#endif
