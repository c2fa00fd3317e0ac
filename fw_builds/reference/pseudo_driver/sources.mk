# The non-secure pseudo-driver's sources and include folders; $(pseudo_driver) and $(partition) name the two folders.
# From the partition it takes the service's messages and the CBOR encoder.
# PROTOCOL=mlperf-tiny: another one in the SMP server's place, with the same UART and counter.
ifeq ($(PROTOCOL),mlperf-tiny)
pseudo_driver_sources := $(sort $(wildcard $(pseudo_driver)/mlperf_tiny/*.c)) \
	$(pseudo_driver)/clock.c $(pseudo_driver)/uart.c
pseudo_driver_includes := $(pseudo_driver)/mlperf_tiny $(pseudo_driver) $(partition)
else
pseudo_driver_sources := $(sort $(wildcard $(pseudo_driver)/*.c)) \
	$(partition)/cbor_encode.c
pseudo_driver_includes := $(pseudo_driver) $(partition)
endif
