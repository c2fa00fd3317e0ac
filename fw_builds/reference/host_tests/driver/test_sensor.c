/* SPDX-License-Identifier: Apache-2.0 */
/* The sensor path against a simulated bus: right values, every fault with its status, and nothing stale. */
#include <string.h>

#include "check.h"
#include "sensors.h"
#include "simulated_bus.h"
#include "window.h"

static struct bus bus;
static struct i2c_pins pins;
static struct sensors sensors;
static struct sensor_sample sample;

static void start(void)
{
	bus_init(&bus);
	pins = bus_pins(&bus);
	sensors = (struct sensors){ &pins, false };
	bus_set_mag(&bus, 100, -200, 2047);
	bus_set_temperature(&bus, 400);
}

static enum sensor_status read(void)
{
	memset(&sample, 0x55, sizeof(sample));
	return sensors_read(&sensors, &sample);
}

static bool sample_is(int x, int y, int z, int t)
{
	return sample.x == x && sample.y == y && sample.z == z && sample.temperature == t;
}

static void values_come_in_their_places(void)
{
	start();
	CHECK(read() == SENSOR_OK && sample_is(100, -200, 2047, 400));
	for (int t = -2048; t < 2048; t += 31) {
		bus_set_temperature(&bus, (int16_t)t);
		bus_set_mag(&bus, (int16_t)t, (int16_t)(t + 1), (int16_t)-t);
		CHECK(read() == SENSOR_OK && sample_is(t, t + 1, -t, t));
	}
}

static void absent_sensors_are_absent(void)
{
	start();
	bus.mag.present = false;
	CHECK(read() == SENSOR_ABSENT);
	start();
	bus.thermometer.present = false;
	CHECK(read() == SENSOR_ABSENT);
	/* pulled out between two samples, and put back */
	start();
	CHECK(read() == SENSOR_OK);
	bus.mag.present = false;
	CHECK(read() == SENSOR_ABSENT);
	bus.mag.present = true;
	bus_power_cycle(&bus.mag);
	bus_set_mag(&bus, 1, 2, 3);
	CHECK(read() == SENSOR_OK && sample_is(1, 2, 3, 400));
}

static void refused_bytes_are_noticed(void)
{
	for (unsigned byte = 1; byte <= 2; byte++) {
		start();
		bus.mag.refuse_byte = byte;
		CHECK(read() == SENSOR_NACK);
		start();
		bus.thermometer.refuse_byte = byte;
		CHECK(read() == SENSOR_NACK);
	}
}

static void stuck_lines_are_noticed_in_bounded_time(void)
{
	start();
	bus.sda_held = true;
	CHECK(read() == SENSOR_BUS_STUCK);
	start();
	bus.scl_held = true;
	CHECK(read() == SENSOR_BUS_STUCK);
	start();
	CHECK(read() == SENSOR_OK);
	bus.sda_held = true; /* all zeros and acknowledgements: what a controller out of reach looks like */
	CHECK(read() == SENSOR_BUS_STUCK);
	bus.sda_held = false;
	CHECK(read() == SENSOR_OK);
	start();
	bus.stretch = 1000;
	CHECK(read() == SENSOR_BUS_STUCK);
}

static void interrupted_transfers_and_stretching_are_survived(void)
{
	for (unsigned clocks = 1; clocks <= 9; clocks++) {
		start();
		bus.sda_held_clocks = clocks; /* reset in the middle of a read */
		CHECK(read() == SENSOR_OK && sample_is(100, -200, 2047, 400));
	}
	start();
	bus.stretch = 20;
	CHECK(read() == SENSOR_OK && sample_is(100, -200, 2047, 400));
}

static void other_devices_are_not_believed(void)
{
	for (unsigned i = 10; i <= 12; i++) {
		start();
		bus.mag.reg[i] ^= 1;
		CHECK(read() == SENSOR_WRONG_IDENTITY);
	}
	/* lost power between two samples: its settings are gone, what it holds is no measurement */
	start();
	CHECK(read() == SENSOR_OK);
	bus_power_cycle(&bus.mag);
	CHECK(read() == SENSOR_WRONG_IDENTITY);
	bus_set_mag(&bus, 5, 6, 7);
	CHECK(read() == SENSOR_OK && sample_is(5, 6, 7, 400));
	bus_power_cycle(&bus.thermometer);
	CHECK(read() == SENSOR_WRONG_IDENTITY);
}

static void window_keeps_the_last_samples_in_order(void)
{
	static struct window window;
	uint8_t bytes[WINDOW_BYTES];

	window_clear(&window);
	for (int i = 0; i < 100; i++) {
		const struct sensor_sample s = { (int16_t)i, (int16_t)-i, (int16_t)(1000 + i), (int16_t)(-1000 - i) };

		CHECK(window_full(&window) == (i >= (int)WINDOW_SAMPLES));
		window_push(&window, &s);
		CHECK(window.count == (i + 1 < (int)WINDOW_SAMPLES ? (uint32_t)i + 1 : WINDOW_SAMPLES));
	}
	for (uint32_t i = 0; i < WINDOW_SAMPLES; i++) {
		CHECK(window_at(&window, i)->x == 68 + (int)i);
	}
	window_serialise(&window, bytes);
	/* x = 68, y = -68, z = 1068, t = -1068, little endian */
	CHECK(memcmp(bytes, "\x44\x00\xbc\xff\x2c\x04\xd4\xfb", 8) == 0);
	CHECK(bytes[31 * 8] == 99);
	window_clear(&window);
	CHECK(window.count == 0 && !window_full(&window));
}

int main(void)
{
	values_come_in_their_places();
	absent_sensors_are_absent();
	refused_bytes_are_noticed();
	stuck_lines_are_noticed_in_bounded_time();
	interrupted_transfers_and_stretching_are_survived();
	other_devices_are_not_believed();
	window_keeps_the_last_samples_in_order();
	return 0;
}
