/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts to break the isolation, from the side that is to be kept out, for a tester outside.
 */
#include "clock.h"
#include "commands.h"
#include "probe_access.h"
#include "psa/client.h"
#include "device_ioctl.h"
#include "tfm_psa_call_pack.h"
#include "tfm_veneers.h"

static void put_fault(struct cbor_out *out, const struct tfm_platform_fault *fault)
{
	static const char *const names[] = {
		[FAULT_SECURE] = "SecureFault", [FAULT_BUS] = "BusFault",   [FAULT_MEM_MANAGE] = "MemManage",
		[FAULT_USAGE] = "UsageFault",   [FAULT_HARD] = "HardFault", [FAULT_PPC] = "PPC",
	};
	const bool known = fault->type < COUNT_OF(names) && names[fault->type] != NULL;
	const bool is_ppc = fault->type == FAULT_PPC;

	cbor_put_map(out, 5u + (fault->has_address ? 1u : 0u) + (is_ppc ? 1u : 0u));
	put_text_pair(out, "t", known ? names[fault->type] : "HardFault");
	put_uint_pair(out, "pc", fault->pc);
	cbor_put_text(out, "ns");
	cbor_put_bool(out, fault->nonsecure != 0);
	put_uint_pair(out, "cfsr", fault->cfsr);
	put_uint_pair(out, "sfsr", fault->sfsr);
	if (fault->has_address) {
		put_uint_pair(out, "ad", fault->address);
	}
	if (is_ppc) {
		put_uint_pair(out, "ppc", fault->ppc);
	}
}

/* probe */

enum { PROBE_OP, PROBE_ADDRESS, PROBE_SIZE, PROBE_VALUE };
static const struct cbor_field probe_fields[] = {
	{ "op", CBOR_TYPE_UINT, true },
	{ "addr", CBOR_TYPE_UINT, true },
	{ "size", CBOR_TYPE_UINT, true },
	{ "val", CBOR_TYPE_UINT, false },
};

static int32_t probe(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	static struct tfm_platform_faults before, after;
	const uint64_t size = values[PROBE_SIZE].number;
	const bool write = values[PROBE_OP].number == 1;

	(void)context;
	if (values[PROBE_OP].number > 1 || values[PROBE_ADDRESS].number > UINT32_MAX ||
	    (size != 1 && size != 2 && size != 4) || values[PROBE_VALUE].present != write ||
	    values[PROBE_VALUE].number > UINT32_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_status_t status = tfm_platform_faults(&before);

	if (status != PSA_SUCCESS) {
		return status;
	}
	const uint32_t value = probe_access(write, (uint32_t)values[PROBE_ADDRESS].number, (uint32_t)size,
					    (uint32_t)values[PROBE_VALUE].number);

	status = tfm_platform_faults(&after);
	if (status != PSA_SUCCESS) {
		return status;
	}
	const bool fault = after.total != before.total;
	const bool has_record = fault && after.kept > 0;
	const bool has_value = !fault && !write;

	cbor_put_map(out, 2u + (has_value ? 1u : 0u) + (has_record ? 1u : 0u));
	cbor_put_text(out, "fault");
	cbor_put_bool(out, fault);
	if (has_value) {
		put_uint_pair(out, "val", value);
	}
	put_uint_pair(out, "n", after.total);
	if (has_record) {
		cbor_put_text(out, "info");
		put_fault(out, &after.last[0]);
	}
	return SMP_ERR_OK;
}

/* faults */

static int32_t faults(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	static struct tfm_platform_faults recorded;
	psa_status_t status = tfm_platform_faults(&recorded);

	(void)context;
	(void)values;
	if (status != PSA_SUCCESS) {
		return status;
	}
	const uint32_t kept = recorded.kept < TFM_PLATFORM_FAULTS_KEPT ? recorded.kept : TFM_PLATFORM_FAULTS_KEPT;

	cbor_put_map(out, 2);
	put_uint_pair(out, "n", recorded.total);
	cbor_put_text(out, "last");
	cbor_put_array(out, kept);
	for (uint32_t i = 0; i < kept; i++) {
		put_fault(out, &recorded.last[i]);
	}
	return SMP_ERR_OK;
}

/* psa-call */

enum { CALL_HANDLE, CALL_TYPE, CALL_IN, CALL_OUT, CALL_IN_ARRAY, CALL_OUT_ARRAY, CALL_TIMED, CALL_STEP };
static const struct cbor_field call_fields[] = {
	{ "h", CBOR_TYPE_UINT, true },    { "type", CBOR_TYPE_INT, true }, { "in", CBOR_TYPE_PAIRS, true },
	{ "out", CBOR_TYPE_PAIRS, true }, { "ia", CBOR_TYPE_UINT, false }, { "oa", CBOR_TYPE_UINT, false },
	{ "tm", CBOR_TYPE_UINT, false },  { "mv", CBOR_TYPE_UINT, false },
};
#define TIMED_CALLS_MAX 128u

/*
 * The veneer directly: an attacker does not use the client library, which would refuse some of what is to be tried here.
 * As many vectors and as large a type as the packed parameter can carry. Call number `n` of several finds its first
 * input `n` steps further on.
 */
static psa_status_t one_raw_call(const struct cbor_value *values, uint32_t n, uint32_t *taken)
{
	static psa_invec in_vec[CBOR_MAX_PAIRS];
	static psa_outvec out_vec[CBOR_MAX_PAIRS];
	const int32_t type = (int32_t)values[CALL_TYPE].number;
	const size_t in_len = values[CALL_IN].len, out_len = values[CALL_OUT].len;

	for (size_t i = 0; i < in_len; i++) {
		in_vec[i].base = (const void *)(uintptr_t)values[CALL_IN].pair[i].first;
		in_vec[i].len = values[CALL_IN].pair[i].second;
	}
	if (in_len != 0) {
		in_vec[0].base = (const void *)((uintptr_t)in_vec[0].base + n * (uintptr_t)values[CALL_STEP].number);
	}
	for (size_t i = 0; i < out_len; i++) {
		out_vec[i].base = (void *)(uintptr_t)values[CALL_OUT].pair[i].first;
		out_vec[i].len = values[CALL_OUT].pair[i].second;
	}
	/* Arrays of the tester's own, wherever they are: then the vectors given above only say how many there are. */
	const psa_invec *const in =
		values[CALL_IN_ARRAY].present ? (const psa_invec *)(uintptr_t)values[CALL_IN_ARRAY].number : in_vec;
	psa_outvec *const outs =
		values[CALL_OUT_ARRAY].present ? (psa_outvec *)(uintptr_t)values[CALL_OUT_ARRAY].number : out_vec;
	const psa_handle_t handle = (psa_handle_t)(uint32_t)values[CALL_HANDLE].number;
	const uint32_t packed = PARAM_PACK(type, in_len, out_len);

	if (taken == NULL) {
		return tfm_psa_call_veneer(handle, packed, in, outs);
	}
	/* The bytes of the next request interrupt nothing between the two looks at the clock. */
	const uint32_t mask = probe_interrupts_wait();
	const uint64_t begun = ticks_now();
	const psa_status_t status = tfm_psa_call_veneer(handle, packed, in, outs);
	const uint64_t ticks = ticks_now() - begun;

	probe_interrupts_as_before(mask);
	*taken = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
	return status;
}

static int32_t raw_psa_call(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	static uint32_t taken[TIMED_CALLS_MAX];
	const int64_t type = (int64_t)values[CALL_TYPE].number;
	const uint64_t timed = values[CALL_TIMED].number;

	(void)context;
	if (values[CALL_HANDLE].number > UINT32_MAX || type < INT16_MIN || type > INT16_MAX ||
	    values[CALL_IN].len > (IN_LEN_MASK >> IN_LEN_OFFSET) ||
	    values[CALL_OUT].len > (OUT_LEN_MASK >> OUT_LEN_OFFSET) || values[CALL_IN_ARRAY].number > UINT32_MAX ||
	    values[CALL_OUT_ARRAY].number > UINT32_MAX || timed > TIMED_CALLS_MAX ||
	    values[CALL_STEP].number > UINT32_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	psa_status_t status = one_raw_call(values, 0, timed == 0 ? NULL : &taken[0]);
	const psa_status_t first = status;
	uint32_t done = 1;

	for (; done < timed && status == first; done++) {
		status = one_raw_call(values, done, &taken[done]);
	}
	cbor_put_map(out, timed == 0 ? 1 : 2);
	cbor_put_text(out, "st");
	cbor_put_int(out, status);
	if (timed != 0) {
		put_bytes_pair(out, "t", taken, done * sizeof(taken[0]));
	}
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND(SMP_GROUP_INFERENCE, 7, SMP_WRITE, probe, probe_fields),
	COMMAND_WITHOUT_FIELDS(SMP_GROUP_INFERENCE, 8, SMP_READ, faults),
	COMMAND(SMP_GROUP_INFERENCE, 9, SMP_WRITE, raw_psa_call, call_fields),
};

const struct smp_command_table probe_commands = COMMAND_TABLE(commands);
