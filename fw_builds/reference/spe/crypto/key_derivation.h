/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's identity, derived from the hardware unique key (docs/protocol.md, "Identity").
 */
#ifndef KEY_DERIVATION_H
#define KEY_DERIVATION_H

#include <stdint.h>

#define KEY_LABEL_IAK "tfm-harness/iak/v1"
#define KEY_LABEL_RESULT "tfm-harness/result/v1"
#define KEY_LABEL_CLIENT "tfm-harness/client/v1"
#define KEY_LABEL_RESULT_ENCRYPTION "tfm-harness/result-encryption/v1"
#define KEY_LABEL_STORAGE "tfm-harness/storage/v1"

/* A P-256 private key by the rule of PSA Crypto API 1.1 for psa_key_derivation_output_key(). */
void derive_p256_key(const uint8_t huk[32], const char *label, uint8_t key[32]);

/* An AES-128 key: the first 16 bytes of HKDF's output for that label. */
void derive_aes_key(const uint8_t huk[32], const char *label, uint8_t key[16]);

/* RFC 9562 version 8. */
void derive_uuid(const uint8_t huk[32], uint8_t uuid[16]);

/* Fresh for each boot: from the cold boot's entropy and the number of boots since. */
void derive_boot_seed(const uint8_t entropy[32], uint32_t boot_count, uint8_t seed[32]);

/* Secret, and fresh for each boot: what the random bit generator starts from. */
void derive_random_seed(const uint8_t entropy[32], uint32_t boot_count, uint8_t seed[32]);

#endif
