/* SPDX-License-Identifier: Apache-2.0 */
#include "i2c_bus.h"

#define CLOCKS_TO_RECOVER 9  /* a target in the middle of a byte lets go of SDA within 8 bits and an ACK */
#define STRETCH_HALF_BITS 64 /* how long a target may hold SCL low */

static enum i2c_status raise_clock(const struct i2c_pins *pins)
{
	pins->release(pins->ctx, I2C_SCL);
	for (unsigned waited = 0; waited < STRETCH_HALF_BITS; waited++) {
		pins->half_bit(pins->ctx);
		if (pins->is_high(pins->ctx, I2C_SCL)) {
			return I2C_OK;
		}
	}
	return I2C_STUCK;
}

static void lower_clock(const struct i2c_pins *pins)
{
	pins->pull_low(pins->ctx, I2C_SCL);
	pins->half_bit(pins->ctx);
}

/* START, or repeated START; leaves SCL low. */
static enum i2c_status start(const struct i2c_pins *pins)
{
	pins->release(pins->ctx, I2C_SDA);
	if (raise_clock(pins) != I2C_OK || !pins->is_high(pins->ctx, I2C_SDA)) {
		return I2C_STUCK;
	}
	pins->pull_low(pins->ctx, I2C_SDA);
	pins->half_bit(pins->ctx);
	lower_clock(pins);
	return I2C_OK;
}

static enum i2c_status stop(const struct i2c_pins *pins)
{
	pins->pull_low(pins->ctx, I2C_SDA);
	pins->half_bit(pins->ctx);
	enum i2c_status status = raise_clock(pins);

	pins->release(pins->ctx, I2C_SDA);
	pins->half_bit(pins->ctx);
	if (!pins->is_high(pins->ctx, I2C_SDA)) {
		status = I2C_STUCK;
	}
	return status;
}

static enum i2c_status write_bit(const struct i2c_pins *pins, bool high)
{
	if (high) {
		pins->release(pins->ctx, I2C_SDA);
	} else {
		pins->pull_low(pins->ctx, I2C_SDA);
	}
	enum i2c_status status = raise_clock(pins);

	lower_clock(pins);
	return status;
}

static enum i2c_status read_bit(const struct i2c_pins *pins, bool *high)
{
	pins->release(pins->ctx, I2C_SDA);
	enum i2c_status status = raise_clock(pins);

	*high = pins->is_high(pins->ctx, I2C_SDA);
	lower_clock(pins);
	return status;
}

/* One byte and its acknowledgement; `refused` is the status when the target does not acknowledge. */
static enum i2c_status write_byte(const struct i2c_pins *pins, uint8_t byte, enum i2c_status refused)
{
	bool nack;

	for (int bit = 7; bit >= 0; bit--) {
		if (write_bit(pins, (byte >> bit & 1) != 0) != I2C_OK) {
			return I2C_STUCK;
		}
	}
	if (read_bit(pins, &nack) != I2C_OK) {
		return I2C_STUCK;
	}
	return nack ? refused : I2C_OK;
}

static enum i2c_status read_byte(const struct i2c_pins *pins, uint8_t *byte, bool last)
{
	*byte = 0;
	for (int bit = 7; bit >= 0; bit--) {
		bool high;

		if (read_bit(pins, &high) != I2C_OK) {
			return I2C_STUCK;
		}
		*byte = (uint8_t)(*byte << 1 | high);
	}
	return write_bit(pins, last); /* NACK tells the target that this was all */
}

/* End the transfer whatever came before; the first thing that went wrong is what counts. */
static enum i2c_status finish(const struct i2c_pins *pins, enum i2c_status status)
{
	enum i2c_status stopped = stop(pins);

	return status != I2C_OK ? status : stopped;
}

enum i2c_status i2c_bus_recover(const struct i2c_pins *pins)
{
	pins->release(pins->ctx, I2C_SDA);
	for (unsigned i = 0; i < CLOCKS_TO_RECOVER; i++) {
		if (raise_clock(pins) != I2C_OK) {
			return I2C_STUCK;
		}
		lower_clock(pins);
	}
	return stop(pins);
}

static enum i2c_status write_bytes(const struct i2c_pins *pins, uint8_t address, const uint8_t *data, size_t len)
{
	enum i2c_status status = start(pins);

	if (status == I2C_OK) {
		status = write_byte(pins, (uint8_t)(address << 1), I2C_NO_ADDRESS_ACK);
	}
	for (size_t i = 0; status == I2C_OK && i < len; i++) {
		status = write_byte(pins, data[i], I2C_NO_DATA_ACK);
	}
	return status;
}

enum i2c_status i2c_bus_write(const struct i2c_pins *pins, uint8_t address, const uint8_t *data, size_t len)
{
	return finish(pins, write_bytes(pins, address, data, len));
}

enum i2c_status i2c_bus_read(const struct i2c_pins *pins, uint8_t address, uint8_t reg, uint8_t *data, size_t len)
{
	enum i2c_status status = finish(pins, write_bytes(pins, address, &reg, 1));

	if (status != I2C_OK) {
		return status;
	}
	status = start(pins);
	if (status == I2C_OK) {
		status = write_byte(pins, (uint8_t)(address << 1 | 1), I2C_NO_ADDRESS_ACK);
	}
	for (size_t i = 0; status == I2C_OK && i < len; i++) {
		status = read_byte(pins, &data[i], i + 1 == len);
	}
	return finish(pins, status);
}
