/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sensor front-end: raw register counts to the int8 values of the tamper model's input tensor.
 *
 *     q = clamp_int8((raw - bias + (1 << (shift - 1))) >> shift)
 *
 * in the order x, y, z, temperature, oldest sample first. The magnetometer (LSM303DLHC at its default gain:
 * 1 count = 1/1100 gauss on x and y, 1/980 gauss on z) keeps 0.47 gauss around bias; the thermometer (TMP105,
 * 12 bit: 1 count = 1/16 degC) keeps 16 degC around 25 degC. models/sensor_frontend.py is the same rule.
 */
#ifndef SENSOR_FRONTEND_H
#define SENSOR_FRONTEND_H

#include <stdint.h>

enum {
	SENSOR_WINDOW = 32,    /* samples */
	SENSOR_CHANNELS = 4,   /* x, y, z, temperature */
	SENSOR_MAG_BIAS = 640,
	SENSOR_MAG_SHIFT = 2,
	SENSOR_TEMP_BIAS = 400,
	SENSOR_TEMP_SHIFT = 1,
};

/* One sample as it is read from the sensors and as it enters the digest of a window. */
struct sensor_sample {
	int16_t x, y, z;       /* magnetometer counts */
	int16_t temperature;   /* 1/16 degC */
};

static inline int8_t sensor_quantize(int16_t raw, int32_t bias, int32_t shift)
{
	int32_t q = (raw - bias + (1 << (shift - 1))) >> shift;

	return (int8_t)(q < INT8_MIN ? INT8_MIN : q > INT8_MAX ? INT8_MAX : q);
}

/* The four tensor values of one sample. */
static inline void sensor_quantize_sample(const struct sensor_sample *sample, int8_t out[SENSOR_CHANNELS])
{
	out[0] = sensor_quantize(sample->x, SENSOR_MAG_BIAS, SENSOR_MAG_SHIFT);
	out[1] = sensor_quantize(sample->y, SENSOR_MAG_BIAS, SENSOR_MAG_SHIFT);
	out[2] = sensor_quantize(sample->z, SENSOR_MAG_BIAS, SENSOR_MAG_SHIFT);
	out[3] = sensor_quantize(sample->temperature, SENSOR_TEMP_BIAS, SENSOR_TEMP_SHIFT);
}

#endif
