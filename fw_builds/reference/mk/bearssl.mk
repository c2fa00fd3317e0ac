# BearSSL (elliptic curves, hashes, HMAC, HKDF), fetched and built once for all builds.

bearssl := $(if $(BEARSSL_DIR),$(abspath $(BEARSSL_DIR)),$(cache)/bearssl)
bearssl_lib := $(cache)/$(if $(BEARSSL_DIR),given,fetched)/libbearssl.a
bearssl_includes := $(bearssl)/inc

# Builds that run side by side take turns here.
$(bearssl_lib):
	@mkdir -p $(@D)
	@flock $(cache)/bearssl.lock $(MAKE) --no-print-directory -f $(here)/mk/bearssl_build.mk \
		bearssl='$(bearssl)' lib='$@' fetch='$(if $(BEARSSL_DIR),,$(here)/tools/fetch_bearssl.sh)' \
		cc='$(cc)' ar='$(ar)' flags='$(filter-out -Wl%,$(common_flags)) -ffile-prefix-map=$(bearssl)=bearssl'
