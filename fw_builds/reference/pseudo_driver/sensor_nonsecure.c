#include "sensor_nonsecure.h"

#include "clock.h"
#include "sensor/sensors.h"

/* SBCon I2C of shield 1, non-secure view. */
#define SBCON_SET (*(volatile uint32_t *)0x49206000u)
#define SBCON_CLEAR (*(volatile uint32_t *)0x49206004u)
#define TICKS_PER_HALF_BIT 40u

static uint32_t mask(enum i2c_line line)
{
	return line == I2C_SCL ? 1u : 2u;
}

static void release(void *ctx, enum i2c_line line)
{
	(void)ctx;
	SBCON_SET = mask(line);
}

static void pull_low(void *ctx, enum i2c_line line)
{
	(void)ctx;
	SBCON_CLEAR = mask(line);
}

static bool is_high(void *ctx, enum i2c_line line)
{
	(void)ctx;
	return (SBCON_SET & mask(line)) != 0;
}

static void half_bit(void *ctx)
{
	uint64_t until = ticks_now() + TICKS_PER_HALF_BIT;

	(void)ctx;
	while (ticks_now() < until) {
	}
}

bool sensor_nonsecure_read(struct sensor_sample *sample)
{
	static const struct i2c_pins pins = { release, pull_low, is_high, half_bit, NULL };
	static struct sensors sensors = { &pins, false };

	return sensors_read(&sensors, sample) == SENSOR_OK;
}
