/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_check.h"

#include <arm_cmse.h>
#include <stdint.h>

#include "fih.h"
#include "memory_map.h"

static bool within(uintptr_t base, size_t size, uintptr_t region, size_t region_size)
{
	return base >= region && size <= region_size && base - region <= region_size - size;
}

static bool nonsecure_is_unprivileged(void)
{
	uint32_t control;

	__asm volatile("mrs %0, control_ns" : "=r"(control));
	return (control & 1u) != 0;
}

DECISION bool memory_check_nonsecure(const void *base, size_t size, enum memory_access access)
{
	const uintptr_t at = (uintptr_t)base;

	if (size == 0) {
		return true;
	}
	/*
	 * The TT instruction behind cmse_check_address_range() knows SAU, IDAU and MPU, but not the MPC: an address
	 * in the non-secure alias of secure ISRAM1 would pass it, and fault on use.
	 */
	const bool ram = within(at, size, NS_DATA_BASE, NS_DATA_SIZE) ||
			 (access == MEMORY_READ && within(at, size, NS_CODE_BASE, NS_CODE_SIZE));

	if (!ram) {
		return false;
	}
	int flags = CMSE_NONSECURE | (access == MEMORY_WRITE ? CMSE_MPU_READWRITE : CMSE_MPU_READ);

	if (nonsecure_is_unprivileged()) {
		flags |= CMSE_MPU_UNPRIV;
	}
	return cmse_check_address_range((void *)(uintptr_t)base, size, flags) != NULL;
}
