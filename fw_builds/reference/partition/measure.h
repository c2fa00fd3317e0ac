/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unsigned runs of the model for parity and time: batch, latency, trace.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include "psa/service.h"

/* Each reads its message's input vectors and writes its output vectors, as tfm_inference_defs.h describes them. */
psa_status_t measure_batch(const psa_msg_t *msg);
psa_status_t measure_latency(const psa_msg_t *msg);
psa_status_t measure_trace(const psa_msg_t *msg);

#endif
