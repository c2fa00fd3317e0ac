# The non-secure pseudo-driver's sources and include folders, relative to this file's folder ($(pseudo_driver)).
# From the partition it takes the service's messages and the CBOR encoder.
pseudo_driver_sources := $(sort $(wildcard $(pseudo_driver)/*.c)) $(partition)/cbor_encode.c
pseudo_driver_includes := $(pseudo_driver) $(partition)
