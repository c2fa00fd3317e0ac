/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset and vectors of the non-secure image. The pseudo-driver defines main() and the handlers that it uses.
 */
#include <stdint.h>

#include "an547_regs.h"

extern uint32_t __stack_top[], __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];

int main(void);
void Reset_Handler(void);
void Default_Handler(void);

__attribute__((used)) _Noreturn static void enter_c(void)
{
	const uint32_t *from = __data_load;

	for (uint32_t *to = __data_start; to < __data_end;) {
		*to++ = *from++;
	}
	for (uint32_t *to = __bss_start; to < __bss_end;) {
		*to++ = 0;
	}
	(void)main();
	for (;;) {
		__asm volatile("wfi");
	}
}

__attribute__((naked, used)) void Reset_Handler(void)
{
	__asm volatile("ldr r0, =__stack_limit\n"
		       "msr msplim, r0\n"
		       "ldr r0, =0xE000ED88\n" /* CPACR: floating point and MVE on */
		       "ldr r1, [r0]\n"
		       "orr r1, r1, #0xF00000\n"
		       "str r1, [r0]\n"
		       "dsb\n"
		       "isb\n"
		       "b enter_c\n");
}

void Default_Handler(void)
{
	for (;;) {
		__asm volatile("wfi");
	}
}

#define HANDLER(name) __attribute__((weak, alias("Default_Handler"))) void name(void)

HANDLER(SVC_Handler);
HANDLER(PendSV_Handler);
HANDLER(SysTick_Handler);
HANDLER(TIMER0_Handler);
HANDLER(UARTTX0_Handler);
HANDLER(UARTRX0_Handler);
HANDLER(UART0_Combined_Handler);

typedef void (*vector_t)(void);

/* Faults are the secure side's: AIRCR.BFHFNMINS is 0 and no others are enabled here. */
__attribute__((section(".vectors"), used)) static const vector_t vectors[16 + IRQ_COUNT] = {
	[0] = (vector_t)(uintptr_t)__stack_top,
	[1] = Reset_Handler,
	[2 ... 10] = Default_Handler,
	[11] = SVC_Handler,
	[12 ... 13] = Default_Handler,
	[14] = PendSV_Handler,
	[15] = SysTick_Handler,
	[16 ... 16 + IRQ_TIMER0 - 1] = Default_Handler,
	[16 + IRQ_TIMER0] = TIMER0_Handler,
	[16 + IRQ_TIMER0 + 1 ... 16 + IRQ_UART0_TX - 1] = Default_Handler,
	[16 + IRQ_UART0_TX] = UARTTX0_Handler,
	[16 + IRQ_UART0_RX] = UARTRX0_Handler,
	[16 + IRQ_UART0_RX + 1 ... 16 + IRQ_UART0_COMBINED - 1] = Default_Handler,
	[16 + IRQ_UART0_COMBINED] = UART0_Combined_Handler,
	[16 + IRQ_UART0_COMBINED + 1 ... 16 + IRQ_COUNT - 1] = Default_Handler,
};
