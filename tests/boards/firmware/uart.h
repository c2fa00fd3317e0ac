/* Start-up, UART and reset of the MPS3 AN547 for small firmware of tests. Whoever includes it defines `run`. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

#define REG(a) (*(volatile uint32_t *)(uintptr_t)(a))
#define UART0 0x59303000u
#define UART1 0x59304000u
#define AIRCR 0xE000ED0Cu
#define CPACR 0xE000ED88u
#define NVIC_ENABLE 0xE000E104u /* interrupts 32 to 63 */
#define NVIC_UNPEND 0xE000E284u
#define UART0_IRQ (1u << (43 - 32)) /* the combined one */

extern uint32_t stack_top;
static void run(void);

__attribute__((naked, used)) void reset(void)
{
    __asm volatile("b start_c\n");
}

__attribute__((used)) void start_c(void)
{
    run();
    for (;;) {
    }
}

/* A fault inside the HardFault handler locks the CPU up. */
static void fault(void)
{
    __asm volatile("udf #0");
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};

static void put(uint32_t uart, char c)
{
    while (REG(uart + 4) & 1u) {
    }
    REG(uart) = (uint8_t)c;
}

static inline void speak(uint32_t uart)
{
    REG(uart + 0x10) = 278;
    REG(uart + 8) = 1;
}

static inline void listen(void)
{
    __asm volatile("cpsid i" ::: "memory");
    REG(NVIC_ENABLE) = UART0_IRQ;
    REG(UART0 + 8) = 3 | 8; /* receives, with its interrupt */
}

/* Sleeps until a byte is there: a guest that asks again and again keeps a CPU of the host busy. Interrupts are masked;
 * one that is pending ends the sleep all the same. The status is cleared before it is looked at, so none is missed. */
static inline char get(void)
{
    for (;;) {
        REG(UART0 + 12) = 2;
        REG(NVIC_UNPEND) = UART0_IRQ;
        if (REG(UART0 + 4) & 2u) {
            return (char)REG(UART0);
        }
        __asm volatile("dsb\n wfi" ::: "memory");
    }
}

#endif
