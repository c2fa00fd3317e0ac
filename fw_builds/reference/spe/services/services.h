/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry points of the SPE's own services.
 */
#ifndef SERVICES_H
#define SERVICES_H

#include "psa/service.h"

psa_status_t tfm_attestation_service_sfn(const psa_msg_t *msg);
psa_status_t tfm_platform_service_sfn(const psa_msg_t *msg);
psa_status_t tfm_model_store_service_sfn(const psa_msg_t *msg);
psa_status_t tfm_ps_service_sfn(const psa_msg_t *msg);

#endif
