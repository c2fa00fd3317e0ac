/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include <string.h>

void window_clear(struct window *window)
{
	memset(window, 0, sizeof(*window));
}

void window_push(struct window *window, const struct sensor_sample *sample)
{
	window->sample[window->next] = *sample;
	window->next = (window->next + 1) % WINDOW_SAMPLES;
	if (window->count < WINDOW_SAMPLES) {
		window->count++;
	}
}

bool window_full(const struct window *window)
{
	return window->count == WINDOW_SAMPLES;
}

const struct sensor_sample *window_at(const struct window *window, uint32_t index)
{
	return &window->sample[(window->next + index) % WINDOW_SAMPLES];
}

void window_serialise(const struct window *window, uint8_t bytes[WINDOW_BYTES])
{
	for (uint32_t i = 0; i < WINDOW_SAMPLES; i++) {
		const struct sensor_sample *sample = window_at(window, i);
		const int16_t values[] = { sample->x, sample->y, sample->z, sample->temperature };

		for (uint32_t k = 0; k < 4; k++) {
			bytes[i * WINDOW_RECORD_SIZE + 2 * k] = (uint8_t)values[k];
			bytes[i * WINDOW_RECORD_SIZE + 2 * k + 1] = (uint8_t)((uint16_t)values[k] >> 8);
		}
	}
}
