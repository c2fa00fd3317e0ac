/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and ids from the hardware unique key, by the rule of docs/protocol.md, section "Identity".
 *
 * PSA calls do not work where this runs (while the crypto service starts, and in the platform partition), so it uses the
 * crypto library beneath them.
 */
#ifndef DERIVE_H
#define DERIVE_H

#include <stdbool.h>
#include <stdint.h>

#define DERIVE_KEY_SIZE 32u
#define DERIVE_UUID_SIZE 16u

/* A P-256 private key, big-endian. False: no HUK, or the library refused. */
bool derive_p256_key(const char *label, uint8_t key[DERIVE_KEY_SIZE]);

/* The device's UUID (RFC 9562, version 8). False: as above. */
bool derive_uuid(uint8_t uuid[DERIVE_UUID_SIZE]);

#endif
