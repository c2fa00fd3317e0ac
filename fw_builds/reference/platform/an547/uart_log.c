/* SPDX-License-Identifier: Apache-2.0 */
#include "uart_log.h"

#include "an547_regs.h"

#define LOG_BAUD_DIVIDER 217u /* 25 MHz / 115200 */

void uart_log_init(void)
{
	UART1->bauddiv = LOG_BAUD_DIVIDER;
	UART1->ctrl = UART_CTRL_TX_EN;
}

void uart_log_putc(char c)
{
	while ((UART1->state & UART_STATE_TX_FULL) != 0) {
	}
	UART1->data = (uint8_t)c;
}
