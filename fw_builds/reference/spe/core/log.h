/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secure log: lines of the form "[TAG] text", each ending in LF.
 */
#ifndef SPE_LOG_H
#define SPE_LOG_H

#include <stddef.h>
#include <stdint.h>

/*
 * One line. Conversions: %s, %d (int32_t), %u (uint32_t), %x (uint32_t, 8 hex digits), %%.
 * Control characters and bytes above 0x7e in a %s are shown as '?'.
 */
void spe_log(const char *tag, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line: text, then the bytes in hex. */
void spe_log_bytes(const char *tag, const char *text, const uint8_t *bytes, size_t len);

#endif
