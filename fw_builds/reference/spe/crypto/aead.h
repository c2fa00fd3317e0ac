/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-128-GCM (SP 800-38D) with nonces of 12 bytes and tags of 16.
 */
#ifndef AEAD_H
#define AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_SIZE 16u
#define AEAD_NONCE_SIZE 12u
#define AEAD_TAG_SIZE 16u

/* data[0..len) becomes the ciphertext. A nonce must never come twice with one key. */
void aead_encrypt(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
		  size_t aad_len, uint8_t *data, size_t len, uint8_t tag[AEAD_TAG_SIZE]);

/* data[0..len) becomes the plaintext. False: not authentic; then it becomes all zeros. */
bool aead_decrypt(const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE], const uint8_t *aad,
		  size_t aad_len, uint8_t *data, size_t len, const uint8_t tag[AEAD_TAG_SIZE]);

#endif
