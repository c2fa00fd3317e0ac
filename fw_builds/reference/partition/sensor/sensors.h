/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sensors of the input path: LSM303DLHC magnetometer (0x1e) and TMP105 thermometer (0x48) on one I2C bus.
 */
#ifndef SENSORS_H
#define SENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "../nn/sensor_frontend.h"
#include "i2c_bus.h"

/* As the wire protocol numbers them. */
enum sensor_status {
	SENSOR_OK = 0,
	SENSOR_ABSENT = 1,          /* no acknowledgement of the address */
	SENSOR_NACK = 2,            /* answered its address, then refused a byte */
	SENSOR_BUS_STUCK = 3,       /* a line held low */
	SENSOR_WRONG_IDENTITY = 4,  /* something else answers, or the settings do not hold */
	SENSOR_WINDOW_NOT_FULL = 5, /* no failure of a sensor: fewer samples than a window */
};

struct sensors {
	const struct i2c_pins *pins;
	bool configured;
};

/*
 * Read both sensors. Configures them and checks who they are first, if that was not done since the last failure.
 * On any failure `sample` is not to be used.
 */
enum sensor_status sensors_read(struct sensors *sensors, struct sensor_sample *sample);

#endif
