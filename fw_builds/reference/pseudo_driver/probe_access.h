/* SPDX-License-Identifier: Apache-2.0 */
/* One memory access that may fault. */
#ifndef PROBE_ACCESS_H
#define PROBE_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Read, or write `written`, `size` bytes (1, 2, 4). Returns what was read; 0 if the access faulted. */
uint32_t probe_access(bool write, uint32_t address, uint32_t size, uint32_t written);

/* Let interrupts wait; what probe_interrupts_as_before() takes. */
uint32_t probe_interrupts_wait(void);
void probe_interrupts_as_before(uint32_t mask);

#endif
