/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I2C controller by bit-banging two open-drain lines (UM10204, standard and fast mode, one controller on the bus).
 *
 * The lines are reached through `struct i2c_pins`, so that the same state machine drives the board's SBCon block and a
 * simulated bus in the tests.
 */
#ifndef I2C_BUS_H
#define I2C_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum i2c_line { I2C_SCL, I2C_SDA };

struct i2c_pins {
	void (*release)(void *ctx, enum i2c_line line); /* let the line rise */
	void (*pull_low)(void *ctx, enum i2c_line line);
	bool (*is_high)(void *ctx, enum i2c_line line);
	void (*half_bit)(void *ctx); /* wait half a clock period */
	void *ctx;
};

enum i2c_status {
	I2C_OK = 0,
	I2C_NO_ADDRESS_ACK, /* nobody answers at the address */
	I2C_NO_DATA_ACK,    /* the target answered its address and then refused a byte */
	I2C_STUCK,          /* a line stays low although nobody should hold it */
};

/* Get the bus idle: clock out whatever a target was in the middle of, then STOP. */
enum i2c_status i2c_bus_recover(const struct i2c_pins *pins);

/* Write data[0..len) to the target; its first byte is the register number with most sensors. */
enum i2c_status i2c_bus_write(const struct i2c_pins *pins, uint8_t address, const uint8_t *data, size_t len);

/* Read `len` bytes, from register `reg` on. */
enum i2c_status i2c_bus_read(const struct i2c_pins *pins, uint8_t address, uint8_t reg, uint8_t *data, size_t len);

#endif
