/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this interpreter takes a model: for who keeps models, before one of them becomes active.
 */
#ifndef NN_CHECK_H
#define NN_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* What the inference service gives its model, and so what a look at a model needs. */
#define NN_CHECK_ARENA_SIZE (128u * 1024u)

/*
 * NULL: the interpreter takes the .tflite file in flatbuffer[0..len). Otherwise why not, in words. The arena is written.
 */
const char *nn_check(const uint8_t *flatbuffer, size_t len, uint8_t *arena, size_t arena_len);

#endif
