# The images.

objects := $(out)/objects
hash := \#
profile_define := $(if $(filter PSA_IOT_1,$(ATTEST_PROFILE)),-DATTEST_PROFILE_PSA_IOT_1)
key_folder := $(cache)/key-$(firstword $(shell cksum $(PUBLIC_KEY)))

secure_sources := $(spe_sources) $(partition_sources) \
	$(addprefix $(platform)/,startup_secure.c target_cfg.c uart_log.c)
secure_includes := $(spe_includes) $(platform) $(partition_includes) $(key_folder)
nonsecure_sources := $(pseudo_driver_sources) $(interface_sources) $(platform)/startup_nonsecure.c
nonsecure_includes := $(interface_includes) $(pseudo_driver_includes) $(platform)

secure_flags := $(warnings) -mcmse $(addprefix -I,$(secure_includes)) -isystem $(bearssl_includes)
nonsecure_flags := $(warnings) $(addprefix -I,$(nonsecure_includes))
right_flags = $(common_flags)
own_flags = $(right_flags) $(profile_define) -ffile-prefix-map=$(sources)=.

# The right objects, for every build with the same options.
shared_key := $(firstword $(shell echo '$(cc) $(right_flags) $(subst $(sources)/,$(here)/,$(secure_flags) \
	$(nonsecure_flags))' | cksum))
shared := $(cache)/shared-$(shared_key)

# A faulty build has objects of its own where its patch changes the source or anything that the source includes. The
# names of the changed files are enough: at worst an object too many is compiled.
changed := $(if $(fault),$(shell sed -n 's@^\(---\|+++\) [ab]/fw_builds/reference/\([^	]*\).*@\2@p' $(patch)))
touched := $(if $(changed),$(shell grep -lrF $(foreach file,$(sort $(notdir $(changed))),-e '/$(file)') \
	--include=*.d $(shared)))
right_object = $(patsubst $(sources)/%.c,$(shared)/$(1)/%.o,$(2))
is_right = $(and $(wildcard $(call right_object,$(1),$(2))),$(if $(filter $(patsubst %.o,%.d,$(call \
	right_object,$(1),$(2))),$(touched)),,yes))
# So has a build with another attestation profile, of the sources that know it.
profiled := $(if $(profile_define),$(shell grep -lF '"attest_profile.h"' $(secure_sources)))
object = $(if $(and $(if $(filter $(2),$(profiled)),,yes),$(or $(if $(fault),,yes),$(call is_right,$(1),$(2)))),$(call \
	right_object,$(1),$(2)),$(patsubst $(sources)/%.c,$(objects)/$(fault)/$(1)/%.o,$(2)))

secure_objects := $(foreach source,$(secure_sources),$(call object,secure,$(source)))
nonsecure_objects := $(foreach source,$(nonsecure_sources),$(call object,nonsecure,$(source)))

# A change of options or of the list of objects builds anew: the file changes only when they do.
options := $(objects)/options
options_text := $(fault) $(link_flags) $(shared_key) $(firstword $(shell echo '$(secure_objects) $(nonsecure_objects)' | cksum))
.PHONY: force
$(options): force
	@mkdir -p $(@D)
	@echo '$(options_text)' | cmp -s - $@ || echo '$(options_text)' > $@

$(objects)/$(fault)/secure/%.o: $(sources)/%.c $(key_folder)/trusted_key.h
	@mkdir -p $(@D)
	@$(cc) $(own_flags) $(secure_flags) -MMD -MP -c $< -o $@

$(objects)/$(fault)/nonsecure/%.o: $(sources)/%.c
	@mkdir -p $(@D)
	@$(cc) $(own_flags) $(nonsecure_flags) -MMD -MP -c $< -o $@

$(shared)/secure/%.o: $(here)/%.c $(bearssl_lib) $(key_folder)/trusted_key.h
	@mkdir -p $(@D)
	@$(cc) $(right_flags) $(secure_flags) -MMD -MP -c $< -o $@

$(shared)/nonsecure/%.o: $(here)/%.c
	@mkdir -p $(@D)
	@$(cc) $(right_flags) $(nonsecure_flags) -MMD -MP -c $< -o $@

$(key_folder)/trusted_key.h: $(PUBLIC_KEY) $(here)/tools/trusted_key.py
	@mkdir -p $(@D)
	@$(PYTHON) $(here)/tools/trusted_key.py $(PUBLIC_KEY) > $@

$(out)/veneers.o: $(out)/secure.elf ;
$(out)/secure.elf: $(secure_objects) $(bearssl_lib) $(platform)/secure.ld $(options)
	@echo '  LD       $(notdir $@)$(if $(fault), ($(fault)))'
	@$(cc) $(link_flags) -mcmse -T $(platform)/secure.ld $(secure_objects) $(bearssl_lib) \
		-Wl,--cmse-implib -Wl,--out-implib=$(out)/veneers.o -Wl,-Map=$(out)/secure.map -o $@

$(out)/nonsecure.elf: $(nonsecure_objects) $(out)/veneers.o $(platform)/nonsecure.ld $(options)
	@echo '  LD       $(notdir $@)'
	@$(cc) $(link_flags) -T $(platform)/nonsecure.ld $(nonsecure_objects) $(out)/veneers.o \
		-Wl,-Map=$(out)/nonsecure.map -o $@

$(out)/nonsecure.bin: $(out)/nonsecure.elf
	@$(objcopy) -O binary $< $@

sign := $(PYTHON) $(here)/tools/sign_image.py --key $(SIGNING_KEY)
signing := $(here)/tools/sign_image.py $(SIGNING_KEY)

$(out)/nonsecure.signed.bin: $(out)/nonsecure.bin $(signing)
	@echo '  SIGN     $(notdir $@)'
	@$(sign) --slot-size 0x100000 --version $(NSPE_VERSION) --security-counter $(NSPE_SECURITY_COUNTER) $< $@

models_key := $(firstword $(shell { echo $(MODEL_VERSION) $(MODEL_SECURITY_COUNTER); cat $(SIGNING_KEY); } | cksum))
signed_models := $(cache)/models-$(models_key)

$(signed_models)/%.signed.bin: $(here)/models/%.tflite $(signing)
	@echo '  SIGN     $(notdir $@)'
	@mkdir -p $(@D)
	@$(sign) --version $(MODEL_VERSION) --security-counter $(MODEL_SECURITY_COUNTER) --model-name $* $< $@

$(models:%=$(out)/%.signed.bin): $(out)/%.signed.bin: $(signed_models)/%.signed.bin
	@mkdir -p $(@D)
	@cp $< $@

# Images built elsewhere than in out/ get a manifest of their own beside them.
profile_name := $(if $(filter PSA_IOT_1,$(ATTEST_PROFILE)),PSA_IOT_PROFILE_1,tag:psacertified.org,2023:psa$(hash)tfm)
build_name := $(subst _,-,reference$(if $(fault),-$(fault))$(if $(filter PSA_IOT_1,$(ATTEST_PROFILE)),-PSA_IOT_1)$(if $(filter-out smp,$(PROTOCOL)),-$(PROTOCOL)))
manifest := $(here)/$(if $(filter mlperf-tiny,$(PROTOCOL)),mlperf-tiny.yaml,build.yaml)
$(out)/build.yaml: $(manifest) $(here)/tools/manifest.py $(options)
	@$(PYTHON) $(here)/tools/manifest.py $(manifest) $(out) $(build_name) '$(profile_name)' > $@

-include $(sort $(secure_objects:.o=.d) $(nonsecure_objects:.o=.d))

.PHONY: shared images
shared: $(bearssl_lib) $(filter $(shared)/%,$(secure_objects) $(nonsecure_objects)) $(models:%=$(signed_models)/%.signed.bin) ;@:
images: $(out)/secure.elf $(out)/nonsecure.signed.bin $(models:%=$(out)/%.signed.bin) \
	$(if $(filter-out $(here)/out,$(out)),$(out)/build.yaml)
