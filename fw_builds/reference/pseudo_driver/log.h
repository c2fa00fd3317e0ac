/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on UART0, between the frames.
 */
#ifndef LOG_H
#define LOG_H

#include <stdint.h>

/* One line of text; `text` holds no line feed. */
void log_line(const char *text);

/* `lines` lines of `len` printable characters each, the first of them the line's number. */
void log_test_lines(uint32_t lines, uint32_t len);

#endif
