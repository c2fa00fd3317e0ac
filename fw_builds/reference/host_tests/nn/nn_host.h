/* SPDX-License-Identifier: Apache-2.0 */
/* What the host drivers share. */
#ifndef NN_HOST_H
#define NN_HOST_H

#include <stddef.h>
#include <stdint.h>

/*
 * Give a model to the interpreter in an exact-size heap copy (so that a sanitizer sees every stray access)
 * and, when it is accepted, run it twice: in its arena, and with each activation in a heap block of its own.
 * Aborts when the two runs, or a repetition, differ: then tensors overlap in the arena, or something was not
 * initialised. Returns the nn_status of the initialisation.
 */
int nn_host_exercise(const uint8_t *bytes, size_t size, size_t arena_size);

/* A small generator of repeatable pseudo-random numbers (xorshift64*, Vigna 2016). */
struct nn_host_random {
	uint64_t state;
};
uint64_t nn_host_next(struct nn_host_random *r);

uint8_t *nn_host_read_file(const char *path, size_t *size);

#endif
