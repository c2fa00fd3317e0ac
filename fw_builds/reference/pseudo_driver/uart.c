/* SPDX-License-Identifier: Apache-2.0 */
#include "uart.h"

#include "board.h"

/* Room for two of the longest messages in base64, so that a client may send the next one before an answer. */
#define RING_SIZE 16384u
_Static_assert((RING_SIZE & (RING_SIZE - 1)) == 0, "indices wrap by masking");

static uint8_t ring[RING_SIZE];
static volatile uint32_t ring_in;  /* counts bytes; the interrupt handler's */
static volatile uint32_t ring_out; /* counts bytes; the main loop's */
static volatile uint32_t overruns;
static volatile bool held; /* the ring was full, the receive interrupt is off */

#define CTRL_IDLE (UART_CTRL_TX_ENABLE | UART_CTRL_RX_ENABLE)
#define CTRL_RECEIVING (CTRL_IDLE | UART_CTRL_RX_INTERRUPT | UART_CTRL_RX_OVERRUN_INTERRUPT)

void UART0_Combined_Handler(void);

void uart_init(void)
{
	UART0->bauddiv = PERIPHERAL_CLOCK_HZ / UART_BAUD;
	UART0->ctrl = CTRL_RECEIVING;
	/* A byte that came while a boot loader had the receiver on raises no interrupt any more. */
	UART0_Combined_Handler();
	NVIC_ISER[UART0_COMBINED_IRQ / 32] = 1u << (UART0_COMBINED_IRQ % 32);
	__asm volatile("cpsie i" ::: "memory");
}

void UART0_Combined_Handler(void)
{
	/* The status is cleared before the data register is emptied: a byte that comes in between raises it again. */
	UART0->intclear = UART_INT_ALL;
	if ((UART0->state & UART_STATE_RX_OVERRUN) != 0) {
		UART0->state = UART_STATE_RX_OVERRUN;
		overruns++;
	}
	while ((UART0->state & UART_STATE_RX_FULL) != 0) {
		if (ring_in - ring_out == RING_SIZE) {
			UART0->ctrl = CTRL_IDLE; /* the rest waits in front of the UART until uart_get() */
			held = true;
			return;
		}
		ring[ring_in % RING_SIZE] = (uint8_t)UART0->data;
		ring_in++;
	}
}

bool uart_pending(void)
{
	return ring_in != ring_out;
}

uint32_t uart_waiting(void)
{
	return ring_in - ring_out;
}

uint32_t uart_room(void)
{
	return RING_SIZE;
}

uint8_t uart_get(void)
{
	__asm volatile("cpsid i" ::: "memory");
	while (!uart_pending()) {
		/* A pending interrupt wakes WFI although it is masked, so none can slip in between test and sleep. */
		__asm volatile("dsb\n wfi\n cpsie i\n isb\n cpsid i" ::: "memory");
	}
	uint8_t byte = ring[ring_out % RING_SIZE];

	ring_out++;
	if (held) {
		held = false;
		UART0->ctrl = CTRL_RECEIVING;
		UART0_Combined_Handler(); /* what waited raised its interrupt when nobody listened */
	}
	__asm volatile("cpsie i" ::: "memory");
	return byte;
}

/* Asleep, until the byte in the transmitter is gone. Bytes that come meanwhile are received. */
static void wait_for_room(void)
{
	__asm volatile("cpsid i" ::: "memory");
	while ((UART0->state & UART_STATE_TX_FULL) != 0) {
		UART0->ctrl |= UART_CTRL_TX_INTERRUPT; /* the handler has cleared it where the ring was full */
		if ((UART0->state & UART_STATE_TX_FULL) != 0) {
			__asm volatile("dsb\n wfi" ::: "memory");
		}
		__asm volatile("cpsie i\n isb\n cpsid i" ::: "memory");
	}
	UART0->ctrl &= ~UART_CTRL_TX_INTERRUPT;
	__asm volatile("cpsie i" ::: "memory");
}

void uart_put(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((UART0->state & UART_STATE_TX_FULL) != 0) {
			wait_for_room();
		}
		UART0->data = data[i];
	}
}

void uart_drain(void)
{
	if ((UART0->state & UART_STATE_TX_FULL) != 0) {
		wait_for_room();
	}
}

uint32_t uart_overruns(void)
{
	return overruns;
}
