/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secure gateways: everything the non-secure side can call.
 */
#include "tfm_veneers.h"

#include <arm_cmse.h>

#include "fih.h"
#include "spm.h"
#include "tfm_psa_call_pack.h"

#define GATEWAY __attribute__((cmse_nonsecure_entry, noinline, used))

/* Priorities 0x80 and below are the non-secure side's (AIRCR.PRIS). */
#define BASEPRI_NO_NONSECURE 0x80u

static uint32_t handler_mode(void)
{
	uint32_t ipsr;

	__asm volatile("mrs %0, ipsr" : "=r"(ipsr));
	return ipsr & 0x1FFu;
}

/*
 * Non-secure interrupts wait while a service runs: a non-secure scheduler cannot then switch threads inside the
 * secure side and come back to another thread's secure stack frame.
 */
static void hold_nonsecure_interrupts(uint32_t basepri)
{
	__asm volatile("msr basepri, %0\n isb" ::"r"(basepri) : "memory");
}

GATEWAY uint32_t tfm_psa_framework_version_veneer(void)
{
	return PSA_FRAMEWORK_VERSION;
}

GATEWAY uint32_t tfm_psa_version_veneer(uint32_t sid)
{
	for (unsigned i = 0; i < spm_service_count; i++) {
		if (spm_services[i].sid == sid && spm_services[i].nonsecure_clients) {
			return spm_services[i].version;
		}
	}
	return PSA_VERSION_NONE;
}

DECISION GATEWAY psa_status_t tfm_psa_call_veneer(psa_handle_t handle, uint32_t ctrl_param, const psa_invec *in_vec,
						  psa_outvec *out_vec)
{
	if (handler_mode() != 0) {
		return PSA_ERROR_NOT_PERMITTED;
	}
	hold_nonsecure_interrupts(BASEPRI_NO_NONSECURE);
	const psa_status_t status =
		spm_call(SPM_NONSECURE_CLIENT_ID, handle, PARAM_UNPACK_TYPE(ctrl_param), in_vec,
			 PARAM_UNPACK_IN_LEN(ctrl_param), out_vec, PARAM_UNPACK_OUT_LEN(ctrl_param));

	hold_nonsecure_interrupts(0);
	return status;
}
