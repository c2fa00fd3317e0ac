# The images.

objects := $(out)/objects
comma := ,
profile_define := $(if $(filter PSA_IOT_1,$(ATTEST_PROFILE)),-DATTEST_PROFILE_PSA_IOT_1)

secure_sources := $(spe_sources) $(partition_sources) \
	$(addprefix $(platform)/,startup_secure.c target_cfg.c uart_log.c)
secure_includes := $(here) $(spe_includes) $(platform) $(partition_includes) $(out)/generated
nonsecure_sources := $(pseudo_driver_sources) $(interface_sources) $(platform)/startup_nonsecure.c
nonsecure_includes := $(here) $(interface_includes) $(pseudo_driver_includes) $(platform)

# Sources in which a faulty build may differ: those that ask for it, themselves or in a header they include. The
# objects of all others are shared between builds.
may_differ_headers := $(notdir $(shell grep -lr 'mutants\.h"' --include=*.h $(spe) $(partition) $(platform) $(pseudo_driver)))
empty :=
may_differ := $(shell grep -lE '($(subst $(empty) ,|,mutants.h $(may_differ_headers)))"' \
	$(sort $(secure_sources) $(nonsecure_sources)))

secure_flags := $(warnings) -mcmse $(addprefix -I,$(secure_includes)) -isystem $(bearssl_includes)
nonsecure_flags := $(warnings) $(addprefix -I,$(nonsecure_includes))
own_flags = $(common_flags) -DMUTANT=$(MUTANT) $(profile_define)
# A shared source that asks after all does not compile: there is no such faulty build.
shared_flags = $(shared_common_flags) -DMUTANT=ASKED_IN_A_SHARED_OBJECT $(profile_define)

shared_key := $(firstword $(shell echo '$(cc) $(shared_flags) $(secure_flags) $(nonsecure_flags)' | \
	sed 's|$(out)|out|g' | cksum))
shared := $(cache)/shared-$(shared_key)

objects_of = $(patsubst $(here)/%.c,$(objects)/$(1)/%.o,$(filter $(may_differ),$(2))) \
	$(patsubst $(here)/%.c,$(shared)/$(1)/%.o,$(filter-out $(may_differ),$(2)))
# Where these faulty builds keep what they leave open (secure.ld).
secure_link_flags := $(if $(filter MPC_BLOCK_NONSECURE,$(MUTANT)),-Wl$(comma)--defsym=nonsecure_window=1) \
	$(if $(filter MODEL_READABLE,$(MUTANT)),-Wl$(comma)--defsym=nonsecure_model=1)

secure_objects := $(call objects_of,secure,$(secure_sources))
nonsecure_objects := $(call objects_of,nonsecure,$(nonsecure_sources))

# A change of options rebuilds everything: the file changes only when they do.
options := $(objects)/options
options_text := $(own_flags) $(secure_flags) $(nonsecure_flags) $(link_flags) $(shared_key)
.PHONY: force
$(options): force
	@mkdir -p $(@D)
	@echo '$(options_text)' | cmp -s - $@ || echo '$(options_text)' > $@

$(objects)/secure/%.o: $(here)/%.c $(options) $(out)/generated/trusted_key.h
	@mkdir -p $(@D)
	@$(cc) $(own_flags) $(secure_flags) -MMD -MP -c $< -o $@

$(objects)/nonsecure/%.o: $(here)/%.c $(options)
	@mkdir -p $(@D)
	@$(cc) $(own_flags) $(nonsecure_flags) -MMD -MP -c $< -o $@

$(shared)/secure/%.o: $(here)/%.c $(bearssl_lib)
	@mkdir -p $(@D)
	@$(cc) $(shared_flags) $(secure_flags) -MMD -MP -c $< -o $@

$(shared)/nonsecure/%.o: $(here)/%.c
	@mkdir -p $(@D)
	@$(cc) $(shared_flags) $(nonsecure_flags) -MMD -MP -c $< -o $@

$(out)/generated/trusted_key.h: $(PUBLIC_KEY) $(here)/tools/trusted_key.py
	@mkdir -p $(@D)
	@$(PYTHON) $(here)/tools/trusted_key.py $(PUBLIC_KEY) > $@

$(out)/veneers.o: $(out)/secure.elf ;
$(out)/secure.elf: $(secure_objects) $(bearssl_lib) $(platform)/secure.ld
	@echo '  LD       $(notdir $@)$(if $(filter-out NONE,$(MUTANT)), ($(MUTANT)))'
	@$(cc) $(link_flags) $(secure_link_flags) -mcmse -T $(platform)/secure.ld $(secure_objects) $(bearssl_lib) \
		-Wl,--cmse-implib -Wl,--out-implib=$(out)/veneers.o -Wl,-Map=$(out)/secure.map -o $@

$(out)/nonsecure.elf: $(nonsecure_objects) $(out)/veneers.o $(platform)/nonsecure.ld
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
profile_name := $(if $(filter PSA_IOT_1,$(ATTEST_PROFILE)),PSA_IOT_PROFILE_1,tag:psacertified.org,2023:psa\#tfm)
build_name := $(subst _,-,reference$(if $(filter-out NONE,$(MUTANT)),-$(MUTANT))$(if $(filter PSA_IOT_1,$(ATTEST_PROFILE)),-PSA_IOT_1))
$(out)/build.yaml: $(here)/build.yaml $(here)/tools/manifest.py $(options)
	@$(PYTHON) $(here)/tools/manifest.py $(here)/build.yaml $(out) $(build_name) '$(profile_name)' > $@

-include $(sort $(secure_objects:.o=.d) $(nonsecure_objects:.o=.d))

.PHONY: shared images
shared: $(bearssl_lib) $(filter $(shared)/%,$(secure_objects) $(nonsecure_objects)) $(models:%=$(signed_models)/%.signed.bin)
images: $(out)/secure.elf $(out)/nonsecure.signed.bin $(models:%=$(out)/%.signed.bin) \
	$(if $(filter-out $(here)/out,$(out)),$(out)/build.yaml)
