/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_services.h"

#include <string.h>

#include "check.h"
#include "clock.h"
#include "probe_access.h"
#include "psa/initial_attestation.h"
#include "psa/protected_storage.h"
#include "psa_manifest/sid.h"
#include "tfm_inference_defs.h"
#include "tfm_model_store_api.h"
#include "device_ioctl.h"
#include "tfm_veneers.h"
#include "uart.h"

uint64_t fake_random = 1;
psa_status_t fake_status;
unsigned fake_calls;
int32_t fake_last_type;
unsigned fake_resets;
uint64_t fake_ticks;
uint32_t fake_faults;

static uint32_t faults_so_far;

static void touch(const psa_invec *in, size_t in_len, psa_outvec *out, size_t out_len)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < in_len; i++) {
		for (size_t k = 0; k < in[i].len; k++) {
			sum = (uint8_t)(sum + ((const uint8_t *)in[i].base)[k]);
		}
	}
	for (size_t i = 0; i < out_len; i++) {
		for (size_t k = 0; k < out[i].len; k++) {
			((uint8_t *)out[i].base)[k] = (uint8_t)next_random(&fake_random);
		}
	}
}

static void random_model(struct model_store_info *info, uint32_t slot)
{
	info->slot = slot;
	info->status = next_random(&fake_random) % 2 == 0 ? PSA_SUCCESS : PSA_ERROR_INVALID_SIGNATURE;
	strcpy(info->name, "tamper");
	strcpy(info->version, "1.2.3");
}

psa_status_t psa_call(psa_handle_t handle, int32_t type, const psa_invec *in, size_t in_len, psa_outvec *out,
		      size_t out_len)
{
	fake_calls++;
	fake_last_type = type;
	CHECK(in_len + out_len <= 4);
	touch(in, in_len, out, out_len);
	if (fake_status != PSA_SUCCESS) {
		return fake_status;
	}
	if (handle == TFM_MODEL_STORE_SERVICE_HANDLE && type == TFM_MODEL_STORE_LIST) {
		const uint32_t count = next_random(&fake_random) % (MODEL_STORE_SLOTS + 1);

		for (uint32_t i = 0; i < count; i++) {
			random_model(&((struct model_store_info *)out[0].base)[i], i);
		}
		out[0].len = count * sizeof(struct model_store_info);
	} else if (handle == TFM_MODEL_STORE_SERVICE_HANDLE && type != TFM_MODEL_STORE_UPLOAD) {
		random_model(out[0].base, 4);
	} else if (handle == TFM_INFERENCE_SERVICE_HANDLE && type == TFM_INFERENCE_INFO) {
		strcpy(((struct tfm_inference_info *)out[0].base)->model_name, "tamper");
	} else if (handle == TFM_INFERENCE_SERVICE_HANDLE && type != TFM_INFERENCE_SAMPLE &&
		   type != TFM_INFERENCE_LATENCY) {
		out[0].len = next_random(&fake_random) % (out[0].len + 1);
	}
	return PSA_SUCCESS;
}

psa_status_t tfm_psa_call_veneer(psa_handle_t handle, uint32_t ctrl_param, const psa_invec *in_vec, psa_outvec *out_vec)
{
	/* the vectors are an attacker's: nobody looks at what they point to */
	(void)handle;
	(void)ctrl_param;
	CHECK(in_vec != NULL && out_vec != NULL);
	fake_calls++;
	return (psa_status_t)next_random(&fake_random);
}

psa_status_t psa_initial_attest_get_token(const uint8_t *challenge, size_t challenge_size, uint8_t *token,
					  size_t token_buf_size, size_t *token_size)
{
	const psa_invec in[] = { { challenge, challenge_size } };
	psa_outvec out[] = { { token, token_buf_size } };

	fake_calls++;
	touch(in, 1, out, 1);
	*token_size = token_buf_size;
	return fake_status;
}

psa_status_t psa_initial_attest_get_token_size(size_t challenge_size, size_t *token_size)
{
	*token_size = 300 + challenge_size % 100;
	return fake_status;
}

psa_status_t psa_ps_set(psa_storage_uid_t uid, size_t data_length, const void *p_data,
			psa_storage_create_flags_t create_flags)
{
	const psa_invec in[] = { { p_data, data_length } };

	(void)uid;
	(void)create_flags;
	fake_calls++;
	touch(in, 1, NULL, 0);
	return fake_status;
}

psa_status_t psa_ps_get(psa_storage_uid_t uid, size_t data_offset, size_t data_size, void *p_data,
			size_t *p_data_length)
{
	psa_outvec out[] = { { p_data, data_size } };

	(void)uid;
	(void)data_offset;
	fake_calls++;
	touch(NULL, 0, out, 1);
	*p_data_length = next_random(&fake_random) % (PS_MAX_OBJECT_SIZE + 1);
	return fake_status;
}

psa_status_t psa_ps_get_info(psa_storage_uid_t uid, struct psa_storage_info_t *p_info)
{
	(void)uid;
	*p_info = (struct psa_storage_info_t){ .capacity = PS_MAX_OBJECT_SIZE, .size = 9, .flags = 1 };
	return fake_status;
}

psa_status_t psa_ps_remove(psa_storage_uid_t uid)
{
	(void)uid;
	fake_calls++;
	return fake_status;
}

psa_status_t device_ioctl_reset(void)
{
	fake_resets++;
	return PSA_SUCCESS;
}

psa_status_t tfm_platform_device_info(struct tfm_platform_device_info *info)
{
	memset(info, 0, sizeof(*info));
	info->lifecycle = next_random(&fake_random) % 2 == 0 ? 0x1000 : 0x3000;
	info->otp = next_random(&fake_random) % 3;
	info->has_boot_seed = next_random(&fake_random) % 2;
	info->has_identity = next_random(&fake_random) % 2;
	strcpy(info->spe_version, "1.0.0");
	strcpy(info->nspe_version, "1.0.0");
	strcpy(info->attest_profile, "tag:psacertified.org,2023:psa#tfm");
	return fake_status;
}

psa_status_t tfm_platform_faults(struct tfm_platform_faults *faults)
{
	memset(faults, 0, sizeof(*faults));
	faults->total = faults_so_far;
	faults->kept = faults_so_far < TFM_PLATFORM_FAULTS_KEPT ? faults_so_far : TFM_PLATFORM_FAULTS_KEPT;
	for (uint32_t i = 0; i < faults->kept; i++) {
		faults->last[i].type = next_random(&fake_random) % 8;
		faults->last[i].has_address = next_random(&fake_random) % 2;
	}
	return fake_status;
}

uint32_t probe_access(bool write, uint32_t address, uint32_t size, uint32_t written)
{
	(void)write;
	(void)written;
	CHECK(size == 1 || size == 2 || size == 4);
	faults_so_far += fake_faults;
	return fake_faults != 0 ? 0 : address;
}

uint32_t probe_interrupts_wait(void)
{
	return 0;
}

void probe_interrupts_as_before(uint32_t mask)
{
	CHECK(mask == 0);
}

uint64_t ticks_now(void)
{
	return fake_ticks++;
}

void uart_put(const uint8_t *data, size_t len)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + data[i]);
	}
}

uint32_t uart_waiting(void)
{
	return next_random(&fake_random) % 64 == 0 ? uart_room() : 0;
}

uint32_t uart_room(void)
{
	return 16384;
}

uint32_t uart_overruns(void)
{
	return 0;
}
