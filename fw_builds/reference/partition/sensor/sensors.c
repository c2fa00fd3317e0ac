/* SPDX-License-Identifier: Apache-2.0 */
#include "sensors.h"

#include <string.h>

/* LSM303DLHC datasheet (DocID018771), section 7.2: magnetic field sensing registers. */
#define MAG_ADDRESS 0x1eu
#define MAG_CRA_REG 0x00u
#define MAG_IRA_REG 0x0au
#define MAG_CRA_220_HZ 0x1cu
#define MAG_CRB_GAIN_1_3_GAUSS 0x20u
#define MAG_MR_CONTINUOUS 0x00u
/* A burst from CRA_REG on: three settings, then X, Z, Y, each high byte first. */
#define MAG_SETTINGS 3u
#define MAG_BURST (MAG_SETTINGS + 6u)

/* TMP105 datasheet (SBOS648), section 7.5. */
#define TEMP_ADDRESS 0x48u
#define TEMP_REG 0x00u
#define TEMP_CONFIG_REG 0x01u
#define TEMP_CONFIG_12_BIT 0x60u
#define TEMP_UNUSED_BITS 0x0fu

static const uint8_t mag_identity[3] = { 0x48, 0x34, 0x33 };
static const uint8_t mag_settings[MAG_SETTINGS] = { MAG_CRA_220_HZ, MAG_CRB_GAIN_1_3_GAUSS, MAG_MR_CONTINUOUS };

static enum sensor_status from_i2c(enum i2c_status status)
{
	switch (status) {
	case I2C_OK:
		return SENSOR_OK;
	case I2C_NO_ADDRESS_ACK:
		return SENSOR_ABSENT;
	case I2C_NO_DATA_ACK:
		return SENSOR_NACK;
	case I2C_STUCK:
		break;
	}
	return SENSOR_BUS_STUCK;
}

static enum sensor_status configure(const struct i2c_pins *pins)
{
	enum i2c_status status = i2c_bus_recover(pins);
	uint8_t identity[sizeof(mag_identity)];

	if (status == I2C_OK) {
		status = i2c_bus_read(pins, MAG_ADDRESS, MAG_IRA_REG, identity, sizeof(identity));
	}
	if (status == I2C_OK && memcmp(identity, mag_identity, sizeof(identity)) != 0) {
		return SENSOR_WRONG_IDENTITY;
	}
	for (uint8_t reg = 0; status == I2C_OK && reg < MAG_SETTINGS; reg++) {
		const uint8_t setting[] = { (uint8_t)(MAG_CRA_REG + reg), mag_settings[reg] };

		status = i2c_bus_write(pins, MAG_ADDRESS, setting, sizeof(setting));
	}
	if (status == I2C_OK) {
		static const uint8_t setting[] = { TEMP_CONFIG_REG, TEMP_CONFIG_12_BIT };

		status = i2c_bus_write(pins, TEMP_ADDRESS, setting, sizeof(setting));
	}
	return from_i2c(status);
}

static int16_t big_endian(const uint8_t *bytes)
{
	return (int16_t)(uint16_t)((unsigned)bytes[0] << 8 | bytes[1]);
}

/*
 * The settings are read with the data: a sensor that lost power in between has lost them, and what it holds then is no
 * measurement.
 */
static enum sensor_status read_both(const struct i2c_pins *pins, struct sensor_sample *sample)
{
	uint8_t mag[MAG_BURST], config, temperature[2];
	enum i2c_status status = i2c_bus_read(pins, MAG_ADDRESS, MAG_CRA_REG, mag, sizeof(mag));

	if (status == I2C_OK) {
		status = i2c_bus_read(pins, TEMP_ADDRESS, TEMP_CONFIG_REG, &config, 1);
	}
	if (status == I2C_OK) {
		status = i2c_bus_read(pins, TEMP_ADDRESS, TEMP_REG, temperature, sizeof(temperature));
	}
	if (status != I2C_OK) {
		return from_i2c(status);
	}
	if (memcmp(mag, mag_settings, MAG_SETTINGS) != 0 || config != TEMP_CONFIG_12_BIT ||
	    (temperature[1] & TEMP_UNUSED_BITS) != 0) {
		return SENSOR_WRONG_IDENTITY;
	}
	sample->x = big_endian(&mag[MAG_SETTINGS]);
	sample->z = big_endian(&mag[MAG_SETTINGS + 2]);
	sample->y = big_endian(&mag[MAG_SETTINGS + 4]);
	sample->temperature = (int16_t)(big_endian(temperature) / 16);
	return SENSOR_OK;
}

enum sensor_status sensors_read(struct sensors *sensors, struct sensor_sample *sample)
{
	enum sensor_status status = SENSOR_OK;

	if (!sensors->configured) {
		status = configure(sensors->pins);
	}
	if (status == SENSOR_OK) {
		status = read_both(sensors->pins, sample);
	}
	sensors->configured = status == SENSOR_OK;
	return status;
}
