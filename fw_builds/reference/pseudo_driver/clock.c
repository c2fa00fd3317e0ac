/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include "board.h"

uint64_t ticks_now(void)
{
	uint32_t high, low;

	do {
		high = SSE_COUNTER->high;
		low = SSE_COUNTER->low;
	} while (high != SSE_COUNTER->high);
	return (uint64_t)high << 32 | low;
}
