/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this image's platform can do. A port sets to 0 what it has not (-DDRIVER_HAS_UPDATE=0): the commands are then left
 * out, and `describe` does not name the feature. Suites that need it are not covered; they do not fail.
 */
#ifndef DRIVER_FEATURES_H
#define DRIVER_FEATURES_H

/* What `describe` calls the firmware. What docs/protocol.md says of the reference's secure side is held against it only. */
#ifndef DRIVER_FIRMWARE_NAME
#define DRIVER_FIRMWARE_NAME "tfm-harness-reference"
#endif
#ifndef DRIVER_HAS_MODELS /* more than one model: the list, select */
#define DRIVER_HAS_MODELS 1
#endif
#ifndef DRIVER_HAS_UPDATE /* models by upload */
#define DRIVER_HAS_UPDATE 1
#endif
#ifndef DRIVER_HAS_PROBE /* reads and writes of any address, recorded faults, raw psa_call(): test builds only */
#define DRIVER_HAS_PROBE 1
#endif
#ifndef DRIVER_HAS_FREE_RUNNING /* the sampling timer */
#define DRIVER_HAS_FREE_RUNNING 1
#endif
#ifndef DRIVER_HAS_HOLD /* a receive buffer whose fill level uart.c tells: test builds only */
#define DRIVER_HAS_HOLD 1
#endif
#ifndef DRIVER_HAS_INPUT_UPLOAD /* inputs larger than a message, in parts */
#define DRIVER_HAS_INPUT_UPLOAD 1
#endif
#ifndef DRIVER_INPUT_MAX /* bytes of such an input */
#define DRIVER_INPUT_MAX 32768u
#endif
#ifndef DRIVER_HAS_ENCRYPTED_RESULT /* results as COSE_Encrypt0: the platform has the key and AES-GCM */
#define DRIVER_HAS_ENCRYPTED_RESULT 1
#endif
#ifndef DRIVER_HAS_PROTECTED_STORAGE /* PSA Protected Storage */
#define DRIVER_HAS_PROTECTED_STORAGE 1
#endif
#ifndef DRIVER_HAS_TRACE /* inner activations, in the lifecycle that allows it */
#define DRIVER_HAS_TRACE 1
#endif

#endif
