/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory a non-secure caller may name in a request.
 */
#ifndef MEMORY_CHECK_H
#define MEMORY_CHECK_H

#include <stdbool.h>
#include <stddef.h>

enum memory_access { MEMORY_READ, MEMORY_WRITE };

/*
 * True when all of [base, base + size) is non-secure RAM of the non-secure side that its current privilege lets it
 * access. An empty range is always right.
 */
bool memory_check_nonsecure(const void *base, size_t size, enum memory_access access);

#endif
