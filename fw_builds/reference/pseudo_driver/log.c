/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <string.h>

#include "uart.h"

#define NUMBER_DIGITS 8u

void log_line(const char *text)
{
	uart_put((const uint8_t *)"[NS] ", 5);
	uart_put((const uint8_t *)text, strlen(text));
	uart_put((const uint8_t *)"\n", 1);
}

void log_test_lines(uint32_t lines, uint32_t len)
{
	for (uint32_t line = 0; line < lines; line++) {
		for (uint32_t column = 0; column < len; column++) {
			uint8_t c = (uint8_t)('a' + (line + column) % 26);

			if (column < NUMBER_DIGITS) {
				c = (uint8_t)"0123456789abcdef"[line >> (4 * (NUMBER_DIGITS - 1 - column)) & 15];
			}
			uart_put(&c, 1);
		}
		uart_put((const uint8_t *)"\n", 1);
	}
}
