# The SPE's sources and include folders, relative to $(spe).
spe_sources := $(sort $(wildcard $(spe)/core/*.c $(spe)/crypto/*.c $(spe)/boot/*.c $(spe)/storage/*.c \
	$(spe)/services/*.c)) $(spe)/interface/device_ioctl.c
spe_includes := $(spe)/include $(spe)/interface $(spe)/core $(spe)/crypto $(spe)/boot $(spe)/storage $(spe)/services

# The interface's non-secure half.
interface_sources := $(spe)/interface/tfm_psa_ns_api.c $(spe)/interface/tfm_attest_api.c \
	$(spe)/interface/device_ioctl.c $(spe)/interface/tfm_ps_api.c
interface_includes := $(spe)/include $(spe)/interface
