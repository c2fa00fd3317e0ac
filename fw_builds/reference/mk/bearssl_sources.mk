# What is built of BearSSL, in the folder bearssl=: P-256, ECDSA, HKDF, HMAC-DRBG, SHA-256, AES-GCM and what they call.
# What is needed and is not listed here, the linker names.

bearssl_sources = $(sort $(wildcard $(addprefix $(bearssl)/src/,aead/gcm.c codec/ccopy.c codec/dec*.c codec/enc*.c \
	ec/ec_p256_m31.c ec/ec_pubkey.c ec/ec_secp*.c ec/ecdsa_i31*.c hash/ghash_ctmul.c hash/sha2small.c int/i31_*.c \
	int/i32_div32.c kdf/*.c mac/*.c rand/hmac_drbg.c symcipher/aes_ct.c symcipher/aes_ct_*.c)))
