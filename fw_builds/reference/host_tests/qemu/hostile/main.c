/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A non-secure image that does everything a good one does not. Its report goes to UART0, a line a try:
 * "NAME RESULT", the result of psa_call() or "done", and "end".
 */
#include <stddef.h>

#include "board.h"
#include "psa/client.h"
#include "psa_manifest/sid.h"
#include "device_ioctl.h"
#include "tfm_psa_call_pack.h"
#include "tfm_veneers.h"

static void put(const char *text)
{
	for (; *text != '\0'; text++) {
		while ((UART0->state & UART_STATE_TX_FULL) != 0) {
		}
		UART0->data = (uint8_t)*text;
	}
}

static void report(const char *name, int32_t result)
{
	char digits[12];
	char *at = &digits[11];
	uint32_t value = result < 0 ? 0u - (uint32_t)result : (uint32_t)result;

	put(name);
	put(result < 0 ? " -" : " ");
	*at = '\0';
	do {
		*--at = (char)('0' + value % 10u);
		value /= 10u;
	} while (value != 0);
	put(at);
	put("\n");
}

static uint32_t faults(void)
{
	static struct tfm_platform_faults seen;

	return tfm_platform_faults(&seen) == PSA_SUCCESS ? seen.total : UINT32_MAX;
}

/* A call to any address, as if there were a function. */
static void branch_to(uint32_t address)
{
	((void (*)(void))(uintptr_t)(address | 1u))();
}

static void branches(void)
{
	static const uint32_t targets[] = {
		0x10000400, /* secure code, no gateway */
		0x10070004, /* into the middle of a gateway */
		0x30000000, /* secure data */
		0x31200000, /* sensor window */
		0x21200000, /* its non-secure alias */
		0x38100000, /* a model */
	};

	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		const uint32_t before = faults();

		branch_to(targets[i]);
		report("branch", (int32_t)(faults() - before));
	}
}

static volatile int32_t from_handler;
static volatile uint32_t back_to_privileged;

void SVC_Handler(void);
void SVC_Handler(void)
{
	static struct tfm_platform_device_info info;

	if (back_to_privileged != 0) {
		__asm volatile("mrs r0, control\n bic r0, #1\n msr control, r0\n isb" ::: "r0", "memory");
		return;
	}
	from_handler = tfm_platform_device_info(&info);
}

static void handler_mode(void)
{
	from_handler = 1;
	__asm volatile("svc 0" ::: "memory");
	report("handler", from_handler);
}

/* No privilege, and memory that only the privileged may touch. */
static void unprivileged(void)
{
	static __attribute__((aligned(32))) uint32_t private_word[8];
	static struct tfm_platform_device_info info;
	volatile uint32_t *const mpu = (volatile uint32_t *)0xE000ED90u; /* TYPE, CTRL, RNR, RBAR, RLAR */

	mpu[2] = 0;
	mpu[3] = (uint32_t)(uintptr_t)private_word | 0u << 1 | 1u; /* privileged read-write, never executed */
	mpu[4] = ((uint32_t)(uintptr_t)private_word & ~31u) | 1u;
	mpu[2] = 1;
	mpu[3] = 0x01000000u | 3u << 1; /* code, read-only for all */
	mpu[4] = 0x010FFFE0u | 1u;
	mpu[2] = 2;
	mpu[3] = 0x21000000u | 1u << 1 | 1u; /* data; overlaps nothing: the private word lies behind it */
	mpu[4] = (((uint32_t)(uintptr_t)private_word - 1u) & ~31u) | 1u;
	mpu[2] = 3;
	mpu[3] = ((uint32_t)(uintptr_t)private_word + 32u) | 1u << 1 | 1u;
	mpu[4] = 0x211FFFE0u | 1u;
	mpu[1] = 5; /* on, with the default map for the privileged */
	__asm volatile("dsb\n isb\n mrs r0, control\n orr r0, #1\n msr control, r0\n isb" ::: "r0", "memory");

	const uint32_t request = TFM_PLATFORM_IOCTL_DEVICE_INFO;
	const psa_invec own[] = { { &request, sizeof request } };
	const psa_invec private_in[] = { { private_word, sizeof request } };
	psa_outvec out[] = { { &info, sizeof info } };
	psa_outvec private_out[] = { { private_word, sizeof private_word } };

	const int32_t right = psa_call(TFM_PLATFORM_SERVICE_HANDLE, TFM_PLATFORM_API_ID_IOCTL, own, 1, out, 1);
	const int32_t in = psa_call(TFM_PLATFORM_SERVICE_HANDLE, TFM_PLATFORM_API_ID_IOCTL, private_in, 1, out, 1);
	const int32_t back = psa_call(TFM_PLATFORM_SERVICE_HANDLE, TFM_PLATFORM_API_ID_IOCTL, own, 1, private_out, 1);

	back_to_privileged = 1; /* for UART0, which this map leaves to the privileged */
	__asm volatile("svc 1" ::: "memory");
	report("unprivileged, own", right);
	report("unprivileged, private input", in);
	report("unprivileged, private output", back);
}

static void veneer_arguments(void)
{
	/* counts that psa_call() would have refused on this side */
	for (uint32_t in_len = 0; in_len < 8; in_len++) {
		for (uint32_t out_len = 0; out_len < 8; out_len++) {
			const psa_status_t status =
				tfm_psa_call_veneer(TFM_PLATFORM_SERVICE_HANDLE,
						    PARAM_PACK(TFM_PLATFORM_API_ID_IOCTL, in_len, out_len), NULL, NULL);

			if (status != PSA_ERROR_PROGRAMMER_ERROR && in_len + out_len != 0) {
				report("veneer", status);
			}
		}
	}
	const psa_status_t garbage =
		tfm_psa_call_veneer(-1, ~0u, (const psa_invec *)0x30000000, (psa_outvec *)0x10000000);

	report("garbage", garbage);
	report("version", (int32_t)psa_version(TFM_PLATFORM_SERVICE_SID));
	report("no service", (int32_t)psa_version(0x61));
	report("framework", (int32_t)psa_framework_version());
}

static void undefined_instruction(void)
{
	const uint32_t before = faults();

	__asm volatile("udf #1");
	report("undefined", (int32_t)(faults() - before));
}

static void null_pointer(void)
{
	const uint32_t before = faults();
	uint32_t value = 0;

	__asm volatile("ldrd r2, r3, [%0]\n mov %0, #0" : "+r"(value) : : "r2", "r3", "memory");
	(void)value;
	report("null", (int32_t)(faults() - before));
}

/* The instruction that faults is in an IT block: those behind it must still be the then and the else. */
static void it_block(void)
{
	uint32_t taken = 0;

	__asm volatile("cmp %0, %0\n"
		       "ittte eq\n"
		       "ldreq r0, [%1]\n"
		       "addeq %0, %0, #1\n"
		       "addeq %0, %0, #2\n"
		       "addne %0, %0, #4\n"
		       "add %0, %0, #8\n"
		       : "+r"(taken)
		       : "r"(0x30000000u)
		       : "r0", "cc", "memory");
	report("it block", (int32_t)taken);
}

/* The stack pointer leads into secure memory, then a fault: nothing of it may be read or written. */
static void stack_in_secure_memory(void)
{
	__asm volatile("msr msplim, %0\n mov sp, %1\n udf #2" ::"r"(0), "r"(0x30001000u) : "memory");
}

int main(void)
{
	UART0->bauddiv = 217;
	UART0->ctrl = UART_CTRL_TX_ENABLE;
	report("start", 0);
	handler_mode();
	veneer_arguments();
	undefined_instruction();
	null_pointer();
	it_block();
	branches();
	unprivileged();
	report("end", 0);
	stack_in_secure_memory();
	for (;;) {
		__asm volatile("wfi");
	}
}
