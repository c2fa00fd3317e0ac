/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA on P-256 with SHA-256 digests. Signatures are r || s, big endian, 64 bytes; public keys 0x04 || x || y.
 */
#ifndef ECDSA_H
#define ECDSA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECDSA_KEY_SIZE 32u
#define ECDSA_PUBLIC_KEY_SIZE 65u
#define ECDSA_SIGNATURE_SIZE 64u
#define ECDSA_DER_MAX 72u /* SEQUENCE of two INTEGERs of at most 33 bytes */

/* Deterministic (RFC 6979). False: the key is not in 1..n-1. */
bool ecdsa_sign(const uint8_t key[ECDSA_KEY_SIZE], const uint8_t digest[32], uint8_t signature[ECDSA_SIGNATURE_SIZE]);

bool ecdsa_verify(const uint8_t public_key[ECDSA_PUBLIC_KEY_SIZE], const uint8_t digest[32],
		  const uint8_t signature[ECDSA_SIGNATURE_SIZE]);

/* False: the key is not in 1..n-1. */
bool ecdsa_public_key(const uint8_t key[ECDSA_KEY_SIZE], uint8_t public_key[ECDSA_PUBLIC_KEY_SIZE]);

/* ECDSA-Sig-Value (RFC 3279, 2.2.3) to r || s. False: not strict DER, negative, or longer than 32 bytes. */
bool ecdsa_signature_from_der(const uint8_t *der, size_t len, uint8_t signature[ECDSA_SIGNATURE_SIZE]);

#endif
