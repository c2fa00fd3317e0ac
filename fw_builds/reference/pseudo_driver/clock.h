/* SPDX-License-Identifier: Apache-2.0 */
/* The SSE system counter, as the non-secure side sees it. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

uint64_t ticks_now(void);

#endif
