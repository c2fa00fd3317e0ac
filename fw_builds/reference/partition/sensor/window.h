/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sensor window: the last samples, oldest first, that one inference looks at.
 */
#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensors.h"

#define WINDOW_SAMPLES ((uint32_t)SENSOR_WINDOW)
#define WINDOW_RECORD_SIZE 8u /* as digested: x, y, z, temperature, each int16 little endian */
#define WINDOW_BYTES (WINDOW_SAMPLES * WINDOW_RECORD_SIZE)

struct window {
	struct sensor_sample sample[WINDOW_SAMPLES];
	uint32_t count;
	uint32_t next; /* where the next sample goes */
};

void window_clear(struct window *window);
void window_push(struct window *window, const struct sensor_sample *sample);
bool window_full(const struct window *window);

/* The samples, oldest first; only of a full window. */
const struct sensor_sample *window_at(const struct window *window, uint32_t index);

/* The samples as the bytes that the result's input digest is taken of; only of a full window. */
void window_serialise(const struct window *window, uint8_t bytes[WINDOW_BYTES]);

#endif
