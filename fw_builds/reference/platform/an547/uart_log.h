/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UART1, the secure log.
 */
#ifndef UART_LOG_H
#define UART_LOG_H

void uart_log_init(void);
void uart_log_putc(char c);

#endif
