/* SPDX-License-Identifier: Apache-2.0 */
/* The SBCon block of the board as I2C lines. */
#ifndef SBCON_H
#define SBCON_H

#include "i2c_bus.h"

extern const struct i2c_pins sbcon_pins;

#endif
