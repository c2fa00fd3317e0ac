/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets that are no longer needed are overwritten, and no compiler may leave that out.
 */
#ifndef WIPE_H
#define WIPE_H

#include <stddef.h>
#include <string.h>

/* More than the deepest call into BearSSL uses: a signature, its callers' frames included, takes 3.7 KiB. */
#define WIPE_STACK_SIZE 4096u

static inline void wipe(void *secret, size_t size)
{
	memset(secret, 0, size);
	__asm volatile("" ::"r"(secret) : "memory");
}

/* Overwrite the stack below the caller's frame, where a function that has just returned worked on a secret. */
void wipe_stack(void);

#endif
