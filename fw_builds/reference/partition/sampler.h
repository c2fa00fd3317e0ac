/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the sensor window: one sample a request (stepping), or on the partition's own timer (free running).
 *
 * A failed sample empties the window, so that nothing stale can be inferred from. The window belongs to the timer's
 * handler too: look at it only between sampler_lock() and sampler_unlock().
 */
#ifndef SAMPLER_H
#define SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "window.h"

#define SAMPLER_PERIOD_MAX_MS 60000u

struct sampler_state {
	enum sensor_status status; /* of the last sample */
	uint32_t count;            /* samples in the window */
	uint32_t taken;            /* samples taken since boot */
};

void sampler_init(void);
void sampler_step(void);
void sampler_clear(void);

/* Take a sample every `period_ms` (1 .. SAMPLER_PERIOD_MAX_MS) until sampler_stop(). */
void sampler_start(uint32_t period_ms);
void sampler_stop(void);

struct sampler_state sampler_state(void);

void sampler_lock(void);
void sampler_unlock(void);
const struct window *sampler_window(void);

#endif
