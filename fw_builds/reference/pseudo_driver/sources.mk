# The non-secure pseudo-driver's sources and include folders; $(pseudo_driver) and $(partition) name the two folders.
# From the partition it takes the service's messages and the CBOR encoder.
pseudo_driver_sources := $(filter-out %/sensor_nonsecure.c,$(sort $(wildcard $(pseudo_driver)/*.c))) \
	$(partition)/cbor_encode.c
pseudo_driver_includes := $(pseudo_driver) $(partition)

# A faulty build that reads the sensors on the non-secure side.
ifeq ($(MUTANT),SENSOR_NONSECURE)
pseudo_driver_sources += $(pseudo_driver)/sensor_nonsecure.c $(partition)/sensor/i2c_bus.c $(partition)/sensor/sensors.c
endif
