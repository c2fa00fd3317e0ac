/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure services of the test: every vector is touched from end to end (the sanitizer sees wrong ones), answers are
 * random but of the right kind.
 */
#ifndef FAKE_SERVICES_H
#define FAKE_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "psa/client.h"

extern uint64_t fake_random;        /* state of the random answers */
extern psa_status_t fake_status;    /* what every call returns */
extern unsigned fake_calls;         /* how many there were */
extern int32_t fake_last_type;
extern unsigned fake_resets;
extern uint64_t fake_ticks;
extern uint32_t fake_faults;        /* faults that the next probe raises */
extern bool fake_touch_pointers;    /* false: vectors come from a psa-call command and must not be touched */

#endif
