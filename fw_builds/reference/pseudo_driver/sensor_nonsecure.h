/*
 * The faulty build SENSOR_NONSECURE only: the sensors read by the non-secure side.
 */
#ifndef SENSOR_NONSECURE_H
#define SENSOR_NONSECURE_H

#include <stdbool.h>

#include "nn/sensor_frontend.h"

/* False: no sensor answered. */
bool sensor_nonsecure_read(struct sensor_sample *sample);

#endif
