/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PSA Secure Partition API (Arm Firmware Framework for M 1.1, DEN 0063): what partitions of the Secure
 * Function (SFN) model use.
 */
#ifndef PSA_SERVICE_H
#define PSA_SERVICE_H

#include "psa/client.h"

typedef uint32_t psa_signal_t;
typedef uint32_t psa_irq_status_t;
typedef uint32_t psa_flih_result_t;

#define PSA_FLIH_NO_SIGNAL ((psa_flih_result_t)0)
#define PSA_FLIH_SIGNAL ((psa_flih_result_t)1)

typedef struct psa_msg_t {
	int32_t type;
	psa_handle_t handle;
	int32_t client_id; /* negative: non-secure; positive: a secure partition */
	void *rhandle;
	size_t in_size[PSA_MAX_IOVEC];
	size_t out_size[PSA_MAX_IOVEC];
} psa_msg_t;

/* Copy the next bytes of an input vector; returns how many there were. A programming error panics. */
size_t psa_read(psa_handle_t msg_handle, uint32_t invec_idx, void *buffer, size_t num_bytes);
size_t psa_skip(psa_handle_t msg_handle, uint32_t invec_idx, size_t num_bytes);

/* Append to an output vector; more than its room is a programming error, and panics. */
void psa_write(psa_handle_t msg_handle, uint32_t outvec_idx, const void *buffer, size_t num_bytes);

void psa_irq_enable(psa_signal_t irq_signal);
psa_irq_status_t psa_irq_disable(psa_signal_t irq_signal);
void psa_reset_signal(psa_signal_t irq_signal);

/* Stop: the secure log names the caller, then the device resets. */
_Noreturn void psa_panic(void);

#endif
