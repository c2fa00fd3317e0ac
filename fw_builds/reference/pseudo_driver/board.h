/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The non-secure peripherals of the MPS3 AN547 that the pseudo-driver uses (Arm DAI 0547, DDI 0479 for the UART).
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

struct cmsdk_uart {
	volatile uint32_t data;
	volatile uint32_t state;
	volatile uint32_t ctrl;
	volatile uint32_t intclear; /* read: status */
	volatile uint32_t bauddiv;
};

#define UART_STATE_TX_FULL (1u << 0)
#define UART_STATE_RX_FULL (1u << 1)
#define UART_STATE_RX_OVERRUN (1u << 3)
#define UART_CTRL_TX_ENABLE (1u << 0)
#define UART_CTRL_RX_ENABLE (1u << 1)
#define UART_CTRL_TX_INTERRUPT (1u << 2)
#define UART_CTRL_RX_INTERRUPT (1u << 3)
#define UART_CTRL_RX_OVERRUN_INTERRUPT (1u << 5)
#define UART_INT_ALL 0xfu

#define UART0 ((struct cmsdk_uart *)0x49303000u)
#define UART0_COMBINED_IRQ 43u
#define PERIPHERAL_CLOCK_HZ 25000000u
#define UART_BAUD 115200u

/* SSE system timer 0: its counter is the SSE system counter. */
struct sse_counter {
	volatile uint32_t low;
	volatile uint32_t high;
};

#define SSE_COUNTER ((struct sse_counter *)0x48000000u)

#define NVIC_ISER ((volatile uint32_t *)0xe000e100u)

#endif
