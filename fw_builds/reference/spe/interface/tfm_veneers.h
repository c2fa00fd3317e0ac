/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure gateway functions that the non-secure side may call.
 */
#ifndef TFM_VENEERS_H
#define TFM_VENEERS_H

#include <stdint.h>

#include "psa/client.h"

uint32_t tfm_psa_framework_version_veneer(void);
uint32_t tfm_psa_version_veneer(uint32_t sid);
psa_status_t tfm_psa_call_veneer(psa_handle_t handle, uint32_t ctrl_param, const psa_invec *in_vec,
				 psa_outvec *out_vec);

#endif
