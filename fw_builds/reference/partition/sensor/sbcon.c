/* SPDX-License-Identifier: Apache-2.0 */
#include "sbcon.h"

#include "../devices.h"

static uint32_t mask(enum i2c_line line)
{
	return line == I2C_SCL ? SBCON_SCL : SBCON_SDA;
}

static void release(void *ctx, enum i2c_line line)
{
	((struct sbcon_i2c *)ctx)->set = mask(line);
}

static void pull_low(void *ctx, enum i2c_line line)
{
	((struct sbcon_i2c *)ctx)->clear = mask(line);
}

static bool is_high(void *ctx, enum i2c_line line)
{
	return (((struct sbcon_i2c *)ctx)->set & mask(line)) != 0;
}

/* By counting instructions: reading a counter for it would keep the peripheral bus busier than the sensors do. */
static void half_bit(void *ctx)
{
	uint32_t rounds = SPIN_ROUNDS_PER_HALF_BIT;

	(void)ctx;
	__asm volatile("1: subs %0, %0, #1\n"
		       "   bne 1b\n"
		       : "+r"(rounds)
		       :
		       : "cc");
}

const struct i2c_pins sbcon_pins = {
	.release = release,
	.pull_low = pull_low,
	.is_high = is_high,
	.half_bit = half_bit,
	.ctx = SENSOR_I2C,
};
