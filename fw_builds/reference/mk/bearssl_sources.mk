# What is built of BearSSL, in the folder bearssl=: HKDF, HMAC-DRBG, SHA-256, AES-GCM and what they call.
# What is needed and is not listed here, the linker names.

bearssl_sources = $(sort $(wildcard $(addprefix $(bearssl)/src/,aead/gcm.c codec/ccopy.c codec/dec*.c codec/enc*.c \
	hash/ghash_ctmul.c hash/sha2small.c kdf/*.c mac/*.c rand/hmac_drbg.c symcipher/aes_ct.c symcipher/aes_ct_*.c)))
