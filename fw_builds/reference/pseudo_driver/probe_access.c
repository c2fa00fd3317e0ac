/* SPDX-License-Identifier: Apache-2.0 */
#include "probe_access.h"

/*
 * One access. The secure fault handler skips an instruction that faults and clears r0, which is why the value goes
 * through that register; the barriers let an interrupt that the access raises come first.
 */
#define ACCESS(instruction) __asm volatile(instruction "\n dsb\n isb\n" : "+r"(value) : "r"(target) : "memory")

uint32_t probe_access(bool write, uint32_t address, uint32_t size, uint32_t written)
{
	register uint32_t value __asm("r0") = written;
	register uint32_t target __asm("r1") = address;

	if (write) {
		if (size == 1) {
			ACCESS("strb r0, [r1]");
		} else if (size == 2) {
			ACCESS("strh r0, [r1]");
		} else {
			ACCESS("str r0, [r1]");
		}
	} else if (size == 1) {
		ACCESS("ldrb r0, [r1]");
	} else if (size == 2) {
		ACCESS("ldrh r0, [r1]");
	} else {
		ACCESS("ldr r0, [r1]");
	}
	return value;
}

uint32_t probe_interrupts_wait(void)
{
	uint32_t mask;

	__asm volatile("mrs %0, primask\n cpsid i\n isb" : "=r"(mask)::"memory");
	return mask;
}

void probe_interrupts_as_before(uint32_t mask)
{
	__asm volatile("msr primask, %0\n isb" ::"r"(mask) : "memory");
}
