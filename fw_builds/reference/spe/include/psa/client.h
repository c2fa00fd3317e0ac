/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Client API (Arm Firmware Framework for M 1.1, DEN 0063, chapter 4.4).
 *
 * All services here are connectionless (stateless handles in psa_manifest/sid.h), so psa_connect() and
 * psa_close() are left out.
 */
#ifndef PSA_CLIENT_H
#define PSA_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "psa/error.h"

#define PSA_FRAMEWORK_VERSION (0x0101u)
#define PSA_VERSION_NONE (0u)
#define PSA_MAX_IOVEC (4u) /* input and output vectors of one call together */
#define PSA_IPC_CALL (0)
#define PSA_NULL_HANDLE ((psa_handle_t)0)
#define PSA_CALL_TYPE_MAX (INT16_MAX)

typedef int32_t psa_handle_t;

typedef struct psa_invec {
	const void *base;
	size_t len;
} psa_invec;

typedef struct psa_outvec {
	void *base;
	size_t len; /* room on entry; bytes written on return */
} psa_outvec;

uint32_t psa_framework_version(void);

/* Version of the service with this SID, or PSA_VERSION_NONE when the caller may not use it. */
uint32_t psa_version(uint32_t sid);

/*
 * Call a service. PSA_ERROR_PROGRAMMER_ERROR: the handle, type, number of vectors, or a vector is wrong
 * (not the caller's memory, overlapping an output). Other results are the service's.
 */
psa_status_t psa_call(psa_handle_t handle, int32_t type, const psa_invec *in_vec, size_t in_len, psa_outvec *out_vec,
		      size_t out_len);

#endif
