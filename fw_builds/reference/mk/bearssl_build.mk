# Run by bearssl.mk, in builds that take turns: bearssl= source folder, lib= result, fetch= script that makes the folder (or nothing).

.SUFFIXES:
include $(dir $(lastword $(MAKEFILE_LIST)))bearssl_sources.mk

objects_dir := $(dir $(lib))objects

.DEFAULT_GOAL := build
.PHONY: build
build: $(if $(wildcard $(bearssl)/inc/bearssl.h),,fetch_source)
	@$(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) '$(lib)'

.PHONY: fetch_source
fetch_source:
	@test -n '$(fetch)' || { echo 'BEARSSL_DIR=$(bearssl): no BearSSL there (inc/bearssl.h)' >&2; exit 1; }
	@echo '  FETCH    bearssl (Debian source package)'
	@'$(fetch)' '$(bearssl)'

objects := $(bearssl_sources:$(bearssl)/src/%.c=$(objects_dir)/%.o)

$(objects_dir)/%.o: $(bearssl)/src/%.c
	@mkdir -p $(@D)
	@$(cc) $(flags) -w -I$(bearssl)/inc -I$(bearssl)/src -c $< -o $@

$(lib): $(objects)
	@echo '  AR       $(notdir $@)'
	@rm -f $@.new
	@$(ar) rcsD $@.new $(objects)
	@mv $@.new $@
