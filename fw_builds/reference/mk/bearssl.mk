# BearSSL (elliptic curves, hashes, HMAC, HKDF, AES-GCM), fetched once, and built once for each compiler, set of flags and
# list of its sources.

bearssl := $(if $(BEARSSL_DIR),$(abspath $(BEARSSL_DIR)),$(cache)/bearssl)
# Its arithmetic of long numbers is what most time goes into: without these options a boot takes a fifth longer in QEMU.
bearssl_flags := $(patsubst -O2,-O3 -fno-schedule-insns -fno-tree-vectorize,$(code_flags)) \
	-ffile-prefix-map=$(here)=. -ffile-prefix-map=$(bearssl)=bearssl
bearssl_build := $(firstword $(shell (echo '$(cc) $(bearssl_flags)'; cat $(here)/mk/bearssl_build.mk $(here)/mk/bearssl_sources.mk) | cksum))
bearssl_lib := $(cache)/bearssl-$(bearssl_build)/libbearssl.a
bearssl_includes := $(bearssl)/inc

$(bearssl_lib):
	@$(MAKE) --no-print-directory -f $(here)/mk/bearssl_build.mk \
		bearssl='$(bearssl)' lib='$@' fetch='$(if $(BEARSSL_DIR),,$(here)/tools/fetch_bearssl.sh)' \
		cc='$(cc)' ar='$(ar)' flags='$(bearssl_flags)'
