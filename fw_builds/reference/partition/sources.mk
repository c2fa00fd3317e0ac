# The inference partition's sources and include folders, relative to this file's folder ($(partition)).
# `manifest/` stands in for the headers that TF-M's tools make from tfm_inference.yaml.
partition_sources := $(sort $(wildcard $(partition)/*.c $(partition)/sensor/*.c $(partition)/nn/*.c))
partition_includes := $(partition) $(partition)/sensor $(partition)/nn $(partition)/manifest
