/* SPDX-License-Identifier: Apache-2.0 */
#include "sampler.h"

#include "devices.h"
#include "psa/service.h"
#include "psa_manifest/tfm_inference.h"
#include "sbcon.h"
#include "tfm_memory_sections.h"

static SECTION_SENSOR_WINDOW struct window window;
static struct sensors sensors;
static enum sensor_status last_status;
static uint32_t samples_taken;
static uint64_t period; /* ticks; 0: not running */
static uint64_t due;

void sampler_init(void)
{
	window_clear(&window); /* its memory is not zeroed at start-up */
	sensors.pins = &sbcon_pins;
	sensors.configured = false;
}

static void take_in(enum sensor_status status, struct sensor_sample sample)
{
	last_status = status;
	if (status != SENSOR_OK) {
		window_clear(&window);
		return;
	}
	samples_taken++;
	window_push(&window, &sample);
}

static void read_and_take_in(void)
{
	struct sensor_sample sample = { 0 };
	enum sensor_status status = sensors_read(&sensors, &sample);

	take_in(status, sample);
}

void sampler_lock(void)
{
	(void)psa_irq_disable(SAMPLING_TIMER_SIGNAL);
}

void sampler_unlock(void)
{
	if (period != 0) {
		psa_irq_enable(SAMPLING_TIMER_SIGNAL);
	}
}

void sampler_step(void)
{
	sampler_lock();
	read_and_take_in();
	sampler_unlock();
}

void sampler_clear(void)
{
	sampler_lock();
	window_clear(&window);
	sampler_unlock();
}

/*
 * QEMU 7.2 turns a compare value into nanoseconds and rounds down; with -icount it then finds the value not reached at
 * that very time, sets the same time again, and hangs. Four ticks of 32 MHz are a whole number of nanoseconds.
 */
#define DUE_GRANULARITY 4u

static void set_due(uint64_t when)
{
	due = (when + DUE_GRANULARITY - 1) / DUE_GRANULARITY * DUE_GRANULARITY;
	SAMPLING_TIMER->control = 0;
	SAMPLING_TIMER->compare_low = (uint32_t)due;
	SAMPLING_TIMER->compare_high = (uint32_t)(due >> 32);
	SAMPLING_TIMER->control = SSE_TIMER_ENABLE;
}

void sampler_start(uint32_t period_ms)
{
	const uint64_t ticks = (uint64_t)period_ms * TICKS_PER_MS;

	sampler_lock();
	if (period != ticks) { /* the same again disturbs nothing: it is how a client looks at the state */
		period = ticks;
		set_due(counter_now(SAMPLING_TIMER) + period);
	}
	sampler_unlock();
}

void sampler_stop(void)
{
	sampler_lock();
	period = 0;
	SAMPLING_TIMER->control = 0;
}

/* The timer's first-level handler: runs in interrupt context, never while the window is locked. */
psa_flih_result_t sampling_timer_flih(void)
{
	uint64_t next = due + period;

	/* An interrupt that was pending when sampling was stopped, or started anew. */
	if (period == 0 || counter_now(SAMPLING_TIMER) < due) {
		return PSA_FLIH_NO_SIGNAL;
	}
	read_and_take_in();
	if (next <= counter_now(SAMPLING_TIMER)) { /* held up by an inference: those samples are gone */
		next = counter_now(SAMPLING_TIMER) + period;
	}
	set_due(next);
	return PSA_FLIH_NO_SIGNAL;
}

struct sampler_state sampler_state(void)
{
	struct sampler_state state;

	sampler_lock();
	state.status = last_status;
	state.count = window.count;
	state.taken = samples_taken;
	sampler_unlock();
	return state;
}

const struct window *sampler_window(void)
{
	return &window;
}
