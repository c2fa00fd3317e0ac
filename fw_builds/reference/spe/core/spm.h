/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secure partition manager: delivers psa_call() to the services, all of the Secure Function model.
 */
#ifndef SPM_H
#define SPM_H

#include <stdbool.h>
#include <stdint.h>

#include "psa/service.h"

#define SPM_NONSECURE_CLIENT_ID (-1)

struct spm_service {
	uint32_t sid;
	psa_handle_t handle;
	uint32_t version;
	int32_t partition;
	bool nonsecure_clients;
	psa_status_t (*sfn)(const psa_msg_t *msg);
};

/* The table of services (services.c). */
extern const struct spm_service spm_services[];
extern const unsigned spm_service_count;

/* The partition whose code is running: the service being called, or what spm_set_partition() said at start-up. */
int32_t spm_current_partition(void);
void spm_set_partition(int32_t partition);

/* A call from either side; vectors are not trusted when the client id is negative. */
psa_status_t spm_call(int32_t client_id, psa_handle_t handle, int32_t type, const psa_invec *in_vec, size_t in_len,
		      psa_outvec *out_vec, size_t out_len);

#endif
