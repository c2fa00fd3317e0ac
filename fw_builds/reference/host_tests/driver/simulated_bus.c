/* SPDX-License-Identifier: Apache-2.0 */
#include "simulated_bus.h"

#include <string.h>

#define MAG_MR 2u
#define MAG_DATA 3u
#define TEMP_CONFIG 2u

void bus_power_cycle(struct target *target)
{
	static const uint8_t mag[16] = { 0x10, 0x20, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x34, 0x33 };

	memset(target->reg, 0, sizeof(target->reg));
	if (target->is_mag) {
		memcpy(target->reg, mag, sizeof(mag));
	}
	target->pointer = 0;
	target->phase = TARGET_IDLE;
	target->pulls_sda = false;
}

void bus_init(struct bus *bus)
{
	memset(bus, 0, sizeof(*bus));
	bus->controller_scl = bus->controller_sda = bus->last_scl = bus->last_sda = true;
	bus->mag.address = 0x1e;
	bus->mag.is_mag = true;
	bus->thermometer.address = 0x48;
	bus->mag.present = bus->thermometer.present = true;
	bus_power_cycle(&bus->mag);
	bus_power_cycle(&bus->thermometer);
}

static void put_be(uint8_t *reg, int16_t value)
{
	reg[0] = (uint8_t)((uint16_t)value >> 8);
	reg[1] = (uint8_t)value;
}

void bus_set_mag(struct bus *bus, int16_t x, int16_t y, int16_t z)
{
	put_be(&bus->mag.reg[MAG_DATA], x);
	put_be(&bus->mag.reg[MAG_DATA + 2], z);
	put_be(&bus->mag.reg[MAG_DATA + 4], y);
}

void bus_set_temperature(struct bus *bus, int16_t sixteenths)
{
	put_be(&bus->thermometer.reg[0], (int16_t)(sixteenths * 16));
}

static uint8_t read_register(struct target *t)
{
	if (t->is_mag) {
		uint8_t value = t->reg[t->pointer & 15];

		/* datasheet, section 5.1.1: the pointer goes round within the data registers */
		t->pointer = t->pointer == 8 ? 3 : t->pointer >= 12 ? 0 : (uint8_t)(t->pointer + 1);
		return value;
	}
	if (t->pointer == 1) {
		return t->reg[TEMP_CONFIG];
	}
	uint8_t unused = (uint8_t)(0xf0 << (~t->reg[TEMP_CONFIG] >> 5 & 3)); /* bits below the resolution read as 0 */
	uint8_t value = t->low_byte ? t->reg[1] & unused : t->reg[0];

	t->low_byte ^= 1;
	return value;
}

static bool take_byte(struct target *t, uint8_t byte)
{
	if (++t->bytes == t->refuse_byte) {
		return false;
	}
	if (t->bytes == 1) {
		t->pointer = byte;
		t->low_byte = 0;
	} else if (t->is_mag && t->pointer <= MAG_MR) {
		t->reg[t->pointer++] = byte;
	} else if (!t->is_mag && t->pointer == 1) {
		t->reg[TEMP_CONFIG] = byte;
	}
	return true;
}

static void on_start(struct target *t)
{
	t->phase = TARGET_ADDRESS;
	t->bit = 0;
	t->shift = 0;
	t->bytes = 0;
	t->pulls_sda = false;
}

static void on_rise(struct target *t, bool sda)
{
	if (t->phase == TARGET_IDLE) {
		return;
	}
	if (t->bit < 8 && t->phase != TARGET_READ) {
		t->shift = (uint8_t)(t->shift << 1 | sda);
	} else if (t->bit == 8 && t->phase == TARGET_READ && sda) {
		t->phase = TARGET_IDLE; /* the controller's NACK: enough */
	}
	t->bit++;
}

/* After a falling edge: acknowledge, or put out the next bit. */
static void on_fall(struct target *t)
{
	if (t->phase == TARGET_IDLE) {
		t->pulls_sda = false;
		return;
	}
	if (t->bit == 8 && t->phase != TARGET_READ) {
		bool ack =
			t->phase == TARGET_ADDRESS ? t->present && t->shift >> 1 == t->address : take_byte(t, t->shift);

		t->pulls_sda = ack;
		if (!ack) {
			t->phase = TARGET_IDLE;
		}
		return;
	}
	if (t->bit == 9) {
		if (t->phase == TARGET_ADDRESS) {
			t->phase = (t->shift & 1) != 0 ? TARGET_READ : TARGET_WRITTEN;
			t->low_byte = 0;
		}
		t->bit = 0;
		if (t->phase == TARGET_READ) {
			t->shift = read_register(t);
		}
	}
	t->pulls_sda = t->phase == TARGET_READ && t->bit < 8 && (t->shift & 0x80) == 0;
	if (t->phase == TARGET_READ && t->bit < 8) {
		t->shift = (uint8_t)(t->shift << 1);
	}
}

static bool scl(const struct bus *bus)
{
	return bus->controller_scl && !bus->scl_held && bus->stretched == 0;
}

static bool sda(const struct bus *bus)
{
	return bus->controller_sda && !bus->sda_held && bus->sda_held_clocks == 0 && !bus->mag.pulls_sda &&
	       !bus->thermometer.pulls_sda;
}

static void each(struct bus *bus, void (*edge)(struct target *))
{
	edge(&bus->mag);
	edge(&bus->thermometer);
}

static void update(struct bus *bus)
{
	bool now_scl = scl(bus), now_sda = sda(bus);

	if (now_scl && !bus->last_scl) {
		on_rise(&bus->mag, now_sda);
		on_rise(&bus->thermometer, now_sda);
	} else if (!now_scl && bus->last_scl) {
		if (bus->sda_held_clocks > 0) {
			bus->sda_held_clocks--;
		}
		each(bus, on_fall);
	} else if (now_scl && bus->last_sda && !now_sda) {
		bus->transfers++;
		each(bus, on_start);
	} else if (now_scl && !bus->last_sda && now_sda) {
		bus->mag.phase = bus->thermometer.phase = TARGET_IDLE;
	}
	bus->last_scl = now_scl;
	bus->last_sda = sda(bus);
}

static void release(void *ctx, enum i2c_line line)
{
	struct bus *bus = ctx;

	if (line == I2C_SCL) {
		bus->stretched = bus->controller_scl ? 0 : bus->stretch;
		bus->controller_scl = true;
	} else {
		bus->controller_sda = true;
	}
	update(bus);
}

static void pull_low(void *ctx, enum i2c_line line)
{
	struct bus *bus = ctx;

	if (line == I2C_SCL) {
		bus->controller_scl = false;
	} else {
		bus->controller_sda = false;
	}
	update(bus);
}

static bool is_high(void *ctx, enum i2c_line line)
{
	return line == I2C_SCL ? scl(ctx) : sda(ctx);
}

static void half_bit(void *ctx)
{
	struct bus *bus = ctx;

	if (bus->stretched > 0) {
		bus->stretched--;
		update(bus);
	}
}

struct i2c_pins bus_pins(struct bus *bus)
{
	return (struct i2c_pins){ release, pull_low, is_high, half_bit, bus };
}
