# Tools, and one clear line where one is missing.

cc := $(CROSS_COMPILE)gcc
ar := $(CROSS_COMPILE)gcc-ar
objcopy := $(CROSS_COMPILE)objcopy
size := $(CROSS_COMPILE)size

# Checked once, not again in the steps of a build.
needs_tools := $(if $(tools_checked),,$(filter-out clean distclean help,$(or $(MAKECMDGOALS),all)))

ifneq ($(needs_tools),)
ifeq ($(shell command -v $(cc)),)
$(error $(cc) is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi, or set CROSS_COMPILE=)
endif
ifeq ($(shell echo '#include <string.h>' | $(cc) -E -xc - >/dev/null 2>&1 && echo found),)
$(error newlib is missing: apt-get install libnewlib-arm-none-eabi)
endif
ifeq ($(shell $(PYTHON) -c 'import imgtool, cryptography' 2>/dev/null && echo found),)
$(error $(PYTHON) has no imgtool or cryptography: $(PYTHON) -m pip install imgtool cryptography, or set PYTHON=)
endif
ifeq ($(shell command -v flock),)
$(error flock is missing: apt-get install util-linux)
endif
ifeq ($(filter $(ATTEST_PROFILE),PSA_2023_TFM PSA_IOT_1),)
$(error ATTEST_PROFILE=$(ATTEST_PROFILE): there are PSA_2023_TFM and PSA_IOT_1)
endif
ifneq ($(fault),)
ifeq ($(wildcard $(patch)),)
$(error $(if $(PATCH),PATCH=$(PATCH): no such file,MUTANT=$(MUTANT): no such faulty build; mutants/*.patch are they))
endif
ifeq ($(out),$(here)/out)
$(error a faulty build needs a folder of its own, beside the right one: OUT=<folder>)
endif
endif
endif

ifneq ($(filter check check-mutants,$(needs_tools)),)
missing_program := $(firstword $(foreach program,gcc qemu-system-arm setpriv openssl, \
	$(if $(shell command -v $(program)),,$(program))))
ifneq ($(missing_program),)
$(error $(missing_program) is missing, for the tests: apt-get install gcc libc6-dev qemu-system-arm util-linux openssl)
endif
check_modules := import pytest, xdist, smp, cbor2, pycddl, numpy
ifeq ($(shell $(PYTHON) -c '$(check_modules)' 2>/dev/null && echo found),)
$(error $(PYTHON) has not all packages of the tests ($(check_modules)): .ci/setup.sh test at the top makes one that has)
endif
endif

cpu_flags := -mcpu=cortex-m55 -mthumb -mfloat-abi=hard
warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
code_flags := $(cpu_flags) -std=gnu11 -O2 -g -ffreestanding -ffunction-sections -fdata-sections -fno-common \
	-fno-strict-aliasing
common_flags = $(code_flags) -ffile-prefix-map=$(here)=. -ffile-prefix-map=$(bearssl)=bearssl
link_flags := $(cpu_flags) -nostartfiles --specs=nano.specs --specs=nosys.specs -Wl,--gc-sections \
	-Wl,--no-warn-rwx-segments -Wl,--fatal-warnings -Wl,--build-id=none
