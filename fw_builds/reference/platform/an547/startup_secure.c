/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset and vectors of the secure image.
 */
#include <stdint.h>

#include "an547_regs.h"

#define STACK_SEAL "0xFEF5EDA5" /* Arm's advice: a value that no exception return takes for a frame */

extern uint32_t __stack_limit[], __stack_top[], __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];

_Noreturn void spe_main(void);
void Reset_Handler(void);
void Fault_Handler(void);
void PPC_Handler(void);
void Sampling_Timer_Handler(void);
void Unexpected_Handler(void);

__attribute__((used)) _Noreturn static void enter_c(void)
{
	const uint32_t *from = __data_load;

	for (uint32_t *to = __data_start; to < __data_end;) {
		*to++ = *from++;
	}
	for (uint32_t *to = __bss_start; to < __bss_end;) {
		*to++ = 0;
	}
	/* RAM survives a reset: a return address of the boot before must not be found by a return that went wrong. */
	const uint32_t *const in_use = (const uint32_t *)__builtin_frame_address(0) - 16;

	for (uint32_t *at = __stack_limit; at < in_use;) {
		*at++ = 0;
	}
	spe_main();
}

__attribute__((naked, used)) void Reset_Handler(void)
{
	__asm volatile("ldr r0, =__stack_limit\n"
		       "msr msplim, r0\n"
		       "ldr r0, =__stack_top\n"
		       "ldr r1, =" STACK_SEAL "\n"
		       "str r1, [r0]\n"
		       "str r1, [r0, #4]\n"
		       "ldr r0, =0xE000ED88\n" /* CPACR: floating point and MVE on */
		       "ldr r1, [r0]\n"
		       "orr r1, r1, #0xF00000\n"
		       "str r1, [r0]\n"
		       "dsb\n"
		       "isb\n"
		       "b enter_c\n");
}

typedef void (*vector_t)(void);

__attribute__((section(".vectors"), used)) static const vector_t vectors[16 + IRQ_COUNT] = {
	[0] = (vector_t)(uintptr_t)__stack_top,
	[1] = Reset_Handler,
	[2] = Unexpected_Handler,
	[3 ... 7] = Fault_Handler, /* Hard, MemManage, Bus, Usage, Secure */
	[8 ... 15] = Unexpected_Handler,
	[16 ... 16 + IRQ_TIMER1 - 1] = Unexpected_Handler,
	[16 + IRQ_TIMER1] = Sampling_Timer_Handler,
	[16 + IRQ_TIMER1 + 1 ... 16 + IRQ_PPC - 1] = Unexpected_Handler,
	[16 + IRQ_PPC] = PPC_Handler,
	[16 + IRQ_PPC + 1 ... 16 + IRQ_COUNT - 1] = Unexpected_Handler,
};
