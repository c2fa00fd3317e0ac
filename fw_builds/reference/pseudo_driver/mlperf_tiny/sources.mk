# PROTOCOL=mlperf-tiny: another pseudo-driver in the SMP server's place, with the same UART and counter.
pseudo_driver_sources := $(sort $(wildcard $(pseudo_driver)/mlperf_tiny/*.c)) \
	$(pseudo_driver)/clock.c $(pseudo_driver)/uart.c
pseudo_driver_includes := $(pseudo_driver)/mlperf_tiny $(pseudo_driver) $(partition)
