/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that the platform holds. TF-M's numbers; RESULT and CLIENT are in the range it leaves to platforms.
 */
#ifndef DEVICE_KEYS_H
#define DEVICE_KEYS_H

#define TFM_BUILTIN_KEY_ID_MIN 0x7FFF815Bu
#define TFM_BUILTIN_KEY_ID_HUK 0x7FFF815Cu /* derivation inside the SPE; no operation of psa/crypto.h takes it */
#define TFM_BUILTIN_KEY_ID_IAK 0x7FFF815Du /* signs for the attestation service only; public key for all */
#define TFM_BUILTIN_KEY_ID_PLAT_SPECIFIC_MIN 0x7FFF816Bu
#define TFM_BUILTIN_KEY_ID_RESULT 0x7FFF816Bu /* signs for the inference partition */
#define TFM_BUILTIN_KEY_ID_CLIENT 0x7FFF816Cu /* signs for the inference partition */
#define TFM_BUILTIN_KEY_ID_RESULT_ENCRYPTION 0x7FFF816Du /* AES-128, encrypts for the inference partition */
#define TFM_BUILTIN_KEY_ID_STORAGE 0x7FFF816Eu /* AES-128, for the protected storage service */

#endif
