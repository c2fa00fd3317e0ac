/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>

#include "uart_log.h"

static void put(const char *text)
{
	while (*text != '\0') {
		uart_log_putc(*text++);
	}
}

static void put_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		uart_log_putc(*text >= ' ' && *text <= '~' ? *text : '?');
	}
}

static void put_hex(uint32_t value, unsigned digits)
{
	while (digits-- > 0) {
		uart_log_putc("0123456789abcdef"[value >> (4u * digits) & 0xFu]);
	}
}

static void put_decimal(uint32_t value)
{
	char digits[11];
	char *at = &digits[sizeof digits - 1];

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10u);
		value /= 10u;
	} while (value != 0);
	put(at);
}

static void put_tag(const char *tag)
{
	put("[");
	put(tag);
	put("] ");
}

static void put_signed(int32_t value)
{
	if (value < 0) {
		put("-");
	}
	put_decimal(value < 0 ? 0u - (uint32_t)value : (uint32_t)value);
}

void spe_log(const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_tag(tag);
	for (const char *at = format; *at != '\0'; at++) {
		if (*at != '%') {
			uart_log_putc(*at);
			continue;
		}
		switch (*++at) {
		case 's':
			put_printable(va_arg(args, const char *));
			break;
		case 'd':
			put_signed(va_arg(args, int));
			break;
		case 'u':
			put_decimal(va_arg(args, unsigned int));
			break;
		case 'x':
			put_hex(va_arg(args, unsigned int), 8);
			break;
		case '%':
			uart_log_putc('%');
			break;
		default: /* the compiler checks formats; nothing else may stand here */
			va_end(args);
			put("?\n");
			return;
		}
	}
	va_end(args);
	put("\n");
}

void spe_log_bytes(const char *tag, const char *text, const uint8_t *bytes, size_t len)
{
	put_tag(tag);
	put(text);
	for (size_t i = 0; i < len; i++) {
		put_hex(bytes[i], 2);
	}
	put("\n");
}
