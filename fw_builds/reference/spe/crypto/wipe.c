/* SPDX-License-Identifier: Apache-2.0 */
#include "wipe.h"

#include <stdint.h>

__attribute__((noinline)) void wipe_stack(void)
{
	uint8_t below[WIPE_STACK_SIZE];

	wipe(below, sizeof below);
}
