/* SPDX-License-Identifier: Apache-2.0 */
#include "spm.h"

#include <string.h>

#include "fih.h"
#include "iovec.h"
#include "panic.h"

#define MAX_NESTED_CALLS 4u

struct call {
	psa_msg_t msg;
	struct iovecs vecs;
	size_t consumed[PSA_MAX_IOVEC];
	size_t produced[PSA_MAX_IOVEC];
	int32_t partition;
};

static struct call calls[MAX_NESTED_CALLS];
static unsigned depth;
static int32_t start_up_partition;

int32_t spm_current_partition(void)
{
	return depth == 0 ? start_up_partition : calls[depth - 1].partition;
}

void spm_set_partition(int32_t partition)
{
	start_up_partition = partition;
}

static const struct spm_service *find_service(psa_handle_t handle)
{
	for (unsigned i = 0; i < spm_service_count; i++) {
		if (spm_services[i].handle == handle) {
			return &spm_services[i];
		}
	}
	return NULL;
}

DECISION psa_status_t spm_call(int32_t client_id, psa_handle_t handle, int32_t type, const psa_invec *in_vec,
			       size_t in_len, psa_outvec *out_vec, size_t out_len)
{
	const bool nonsecure = client_id < 0;
	const struct spm_service *const service = find_service(handle);

	if (service == NULL || type < PSA_IPC_CALL || (nonsecure && !service->nonsecure_clients)) {
		return PSA_ERROR_PROGRAMMER_ERROR;
	}
	if (depth == MAX_NESTED_CALLS) {
		return PSA_ERROR_INSUFFICIENT_MEMORY;
	}
	struct call *const call = &calls[depth];

	memset(call, 0, sizeof *call);
	if (!iovecs_take(&call->vecs, nonsecure, in_vec, in_len, out_vec, out_len)) {
		return PSA_ERROR_PROGRAMMER_ERROR;
	}
	/* Whoever calls while no partition runs is the non-secure side, whatever it says. */
	FIH_REQUIRE(
		iovecs_confirm(&call->vecs, depth == 0 && start_up_partition == 0, in_vec, in_len, out_vec, out_len));
	call->partition = service->partition;
	call->msg.type = type;
	call->msg.handle = (psa_handle_t)(depth + 1);
	call->msg.client_id = client_id;
	for (size_t i = 0; i < call->vecs.in_len; i++) {
		call->msg.in_size[i] = call->vecs.in[i].len;
	}
	for (size_t i = 0; i < call->vecs.out_len; i++) {
		call->msg.out_size[i] = call->vecs.out[i].len;
	}

	depth++;
	const psa_status_t status = service->sfn(&call->msg);

	depth--;
	for (size_t i = 0; i < call->vecs.out_len; i++) {
		out_vec[i].len = call->produced[i];
	}
	return status;
}

/* A partition may touch only the message it is handling. */
static struct call *current_call(psa_handle_t msg_handle)
{
	if (depth == 0 || msg_handle != (psa_handle_t)depth) {
		spe_panic("a partition used a message that is not its own");
	}
	return &calls[depth - 1];
}

static size_t take(struct call *call, uint32_t invec_idx, size_t num_bytes)
{
	if (invec_idx >= PSA_MAX_IOVEC) {
		spe_panic("a partition read an input vector that cannot exist");
	}
	const size_t left = call->msg.in_size[invec_idx] - call->consumed[invec_idx];

	return num_bytes < left ? num_bytes : left;
}

size_t psa_read(psa_handle_t msg_handle, uint32_t invec_idx, void *buffer, size_t num_bytes)
{
	struct call *const call = current_call(msg_handle);
	const size_t len = take(call, invec_idx, num_bytes);

	if (len != 0) {
		memcpy(buffer, (const uint8_t *)call->vecs.in[invec_idx].base + call->consumed[invec_idx], len);
		call->consumed[invec_idx] += len;
	}
	return len;
}

size_t psa_skip(psa_handle_t msg_handle, uint32_t invec_idx, size_t num_bytes)
{
	struct call *const call = current_call(msg_handle);
	const size_t len = take(call, invec_idx, num_bytes);

	call->consumed[invec_idx] += len;
	return len;
}

void psa_write(psa_handle_t msg_handle, uint32_t outvec_idx, const void *buffer, size_t num_bytes)
{
	struct call *const call = current_call(msg_handle);

	if (outvec_idx >= PSA_MAX_IOVEC || num_bytes > call->msg.out_size[outvec_idx] - call->produced[outvec_idx]) {
		spe_panic("a partition wrote past an output vector");
	}
	if (num_bytes != 0) {
		memcpy((uint8_t *)call->vecs.out[outvec_idx].base + call->produced[outvec_idx], buffer, num_bytes);
		call->produced[outvec_idx] += num_bytes;
	}
}

uint32_t psa_framework_version(void)
{
	return PSA_FRAMEWORK_VERSION;
}

uint32_t psa_version(uint32_t sid)
{
	for (unsigned i = 0; i < spm_service_count; i++) {
		if (spm_services[i].sid == sid) {
			return spm_services[i].version;
		}
	}
	return PSA_VERSION_NONE;
}

psa_status_t psa_call(psa_handle_t handle, int32_t type, const psa_invec *in_vec, size_t in_len, psa_outvec *out_vec,
		      size_t out_len)
{
	return spm_call(spm_current_partition(), handle, type, in_vec, in_len, out_vec, out_len);
}
