# The non-secure pseudo-driver's sources and include folders; $(pseudo_driver) and $(partition) name the two folders.
# From the partition it takes the service's messages and the CBOR encoder.
pseudo_driver_sources := $(sort $(wildcard $(pseudo_driver)/*.c)) \
	$(partition)/cbor_encode.c
pseudo_driver_includes := $(pseudo_driver) $(partition)
