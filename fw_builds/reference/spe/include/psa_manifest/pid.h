/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition ids. Positive: secure.
 */
#ifndef PSA_MANIFEST_PID_H
#define PSA_MANIFEST_PID_H

#define TFM_SP_CRYPTO (256)
#define TFM_SP_ITS (257)
#define TFM_SP_INITIAL_ATTESTATION (258)
#define TFM_SP_PLATFORM (259)
#define TFM_SP_MODEL_STORE (260)
#define TFM_SP_INFERENCE (261)
#define TFM_SP_PS (262)

#endif
