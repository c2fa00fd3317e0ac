/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition's own peripherals (its MMIO regions in tfm_inference.yaml), secure view of the MPS3 AN547.
 * Sources: Arm DAI 0547 (SBCon I2C), Arm SSE-300 TRM 101773 (system timer).
 *
 * VENDOR: the bus, the timer and the counter of your SoC. A bus that is no SBCon needs a sbcon.c of yours, too: i2c_pins
 * of sensor/i2c_bus.h is all that the sensors ask for.
 */
#ifndef DEVICES_H
#define DEVICES_H

#include <stdint.h>

/* SBCon I2C of shield 1. */
struct sbcon_i2c {
	volatile uint32_t set;   /* write: release lines; read: their levels */
	volatile uint32_t clear; /* write: pull lines low */
};

#define SBCON_SCL (1u << 0)
#define SBCON_SDA (1u << 1)
#define SENSOR_I2C_OFFSET 0x09206000u
#define SENSOR_I2C ((struct sbcon_i2c *)(0x50000000u + SENSOR_I2C_OFFSET))

/* SSE system timer 1. */
struct sse_timer {
	volatile uint32_t count_low;
	volatile uint32_t count_high;
	uint32_t reserved0[2];
	volatile uint32_t frequency;
	uint32_t reserved1[3];
	volatile uint32_t compare_low;
	volatile uint32_t compare_high;
	volatile uint32_t timer_value;
	volatile uint32_t control;
};

#define SSE_TIMER_ENABLE (1u << 0)
#define SAMPLING_TIMER ((struct sse_timer *)0x58001000u)

#define COUNTER_HZ 32000000u
#define TICKS_PER_MS (COUNTER_HZ / 1000u)

/* A round of the delay loop takes at least two cycles; I2C fast mode, 400 kHz. */
#define CPU_HZ 32000000u
#define SPIN_ROUNDS_PER_HALF_BIT (CPU_HZ / 400000u / 2u / 2u)

/* The 64-bit system counter, read in two halves. */
static inline uint64_t counter_now(const struct sse_timer *timer)
{
	uint32_t high, low;

	do {
		high = timer->count_high;
		low = timer->count_low;
	} while (high != timer->count_high);
	return (uint64_t)high << 32 | low;
}

#endif
