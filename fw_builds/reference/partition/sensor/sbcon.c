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

/* Bounded by the number of readings too: a counter that stands still must not hang the device. */
static void half_bit(void *ctx)
{
	uint64_t until = counter_now(SAMPLING_TIMER) + TICKS_PER_HALF_BIT;

	(void)ctx;
	for (uint32_t i = 0; i < TICKS_PER_HALF_BIT && counter_now(SAMPLING_TIMER) < until; i++) {
	}
}

const struct i2c_pins sbcon_pins = {
	.release = release,
	.pull_low = pull_low,
	.is_high = is_high,
	.half_bit = half_bit,
	.ctx = SENSOR_I2C,
};
