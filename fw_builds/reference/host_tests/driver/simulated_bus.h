/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An I2C bus with an LSM303DLHC magnetometer and a TMP105 thermometer, edge by edge, with the faults that the firmware
 * must notice.
 */
#ifndef SIMULATED_BUS_H
#define SIMULATED_BUS_H

#include "i2c_bus.h"

struct target {
	uint8_t address;
	bool present;
	bool is_mag;
	uint8_t reg[16]; /* the magnetometer's registers; the thermometer's: 0, 1 temperature, 2 configuration */
	unsigned refuse_byte; /* NACK the n-th byte written after the address; 0: none */
	/* state of the transfer */
	enum { TARGET_IDLE, TARGET_ADDRESS, TARGET_WRITTEN, TARGET_READ } phase;
	unsigned bit; /* bits of the current byte so far; 8: the acknowledgement is next */
	unsigned bytes; /* written since the address */
	uint8_t shift;
	uint8_t pointer;
	unsigned low_byte; /* of a thermometer's temperature: the second byte is next */
	bool pulls_sda;
};

struct bus {
	bool controller_scl, controller_sda;
	struct target mag, thermometer;
	bool scl_held, sda_held; /* short-circuited */
	unsigned sda_held_clocks; /* a target in the middle of a byte holds SDA for so many more clocks */
	unsigned stretch; /* half bits that SCL stays low after each release */
	unsigned stretched;
	bool last_scl, last_sda;
	unsigned transfers; /* STARTs seen */
};

void bus_init(struct bus *bus);

/* As after power up: settings lost, data registers zero. */
void bus_power_cycle(struct target *target);

void bus_set_mag(struct bus *bus, int16_t x, int16_t y, int16_t z);
void bus_set_temperature(struct bus *bus, int16_t sixteenths);

struct i2c_pins bus_pins(struct bus *bus);

#endif
