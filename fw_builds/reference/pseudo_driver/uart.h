/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UART0: received bytes by interrupt into a ring, sent bytes by polling.
 */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void uart_init(void);

/* The next received byte; the CPU sleeps until there is one. */
uint8_t uart_get(void);

/* Received bytes are waiting. */
bool uart_pending(void);

void uart_put(const uint8_t *data, size_t len);

/* Wait until everything put has left the transmit buffer. */
void uart_drain(void);

/* Received bytes that wait for uart_get(), and how many can. */
uint32_t uart_waiting(void);
uint32_t uart_room(void);

/* Bytes that arrived while the UART still held one. */
uint32_t uart_overruns(void);

/* Interrupt handler of UART0's combined interrupt. */
void UART0_Combined_Handler(void);

#endif
