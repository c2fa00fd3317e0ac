/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message types of the attestation service (TF-M's numbers).
 *
 * GET_TOKEN: in[0] challenge, out[0] token. GET_TOKEN_SIZE: in[0] uint32_t challenge size, out[0] uint32_t.
 */
#ifndef TFM_ATTEST_DEFS_H
#define TFM_ATTEST_DEFS_H

#define TFM_ATTEST_GET_TOKEN 1001
#define TFM_ATTEST_GET_TOKEN_SIZE 1002

#endif
