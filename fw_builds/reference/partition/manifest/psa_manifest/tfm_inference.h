/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TF-M's manifest tool generates from tfm_inference.yaml, for building without that tool. Like the
 * generated one it includes nothing: psa/service.h comes first.
 */
#ifndef PSA_MANIFEST_TFM_INFERENCE_H
#define PSA_MANIFEST_TFM_INFERENCE_H

#define SAMPLING_TIMER_SIGNAL (1UL << 4UL)

psa_status_t tfm_inference_init(void);
psa_status_t tfm_inference_service_sfn(const psa_msg_t *msg);
psa_flih_result_t sampling_timer_flih(void);

#endif
