/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include <stdbool.h>
#include <string.h>

#include "an547_regs.h"
#include "log.h"
#include "memory_check.h"
#include "panic.h"
#include "target_cfg.h"

#define FAULTS_LOGGED 64u /* then silence: a fault loop must not fill the log */

enum frame { FRAME_R0, FRAME_R1, FRAME_R2, FRAME_R3, FRAME_R12, FRAME_LR, FRAME_PC, FRAME_XPSR, FRAME_WORDS };

static struct tfm_platform_fault records[TFM_PLATFORM_FAULTS_KEPT];
static uint32_t total;

void Fault_Handler(void);
void PPC_Handler(void);

void fault_snapshot(struct tfm_platform_faults *out)
{
	memset(out, 0, sizeof *out);
	out->total = total;
	out->kept = total < TFM_PLATFORM_FAULTS_KEPT ? total : TFM_PLATFORM_FAULTS_KEPT;
	for (uint32_t i = 0; i < out->kept; i++) {
		out->last[i] = records[(total - 1u - i) % TFM_PLATFORM_FAULTS_KEPT];
	}
}

static const char *name_of(uint32_t type)
{
	static const char *const names[] = {
		[FAULT_SECURE] = "SecureFault", [FAULT_BUS] = "BusFault",   [FAULT_MEM_MANAGE] = "MemManage",
		[FAULT_USAGE] = "UsageFault",   [FAULT_HARD] = "HardFault", [FAULT_PPC] = "PPC",
	};

	return names[type];
}

static void record(const struct tfm_platform_fault *fault)
{
	records[total % TFM_PLATFORM_FAULTS_KEPT] = *fault;
	total++;
	if (total > FAULTS_LOGGED) {
		return;
	}
	const char *const side = fault->nonsecure != 0 ? "non-secure" : "secure";

	if (fault->has_address != 0) {
		spe_log("FAULT", "%s %s pc=%x cfsr=%x sfsr=%x address=%x", side, name_of(fault->type),
			(unsigned int)fault->pc, (unsigned int)fault->cfsr, (unsigned int)fault->sfsr,
			(unsigned int)fault->address);
	} else {
		spe_log("FAULT", "%s %s pc=%x cfsr=%x sfsr=%x ppc=%x", side, name_of(fault->type),
			(unsigned int)fault->pc, (unsigned int)fault->cfsr, (unsigned int)fault->sfsr,
			(unsigned int)fault->ppc);
	}
	if (total == FAULTS_LOGGED) {
		spe_log("FAULT", "no more lines until the next boot; faults are still counted");
	}
}

/* The interrupted side's stack frame; NULL when the non-secure stack pointer is not in its memory. */
static uint32_t *frame_of(uint32_t exc_return, uint32_t *msp)
{
	const bool process_stack = (exc_return & EXC_RETURN_SPSEL) != 0;
	uint32_t *frame;

	if ((exc_return & EXC_RETURN_S) != 0) {
		if (!process_stack) {
			return msp;
		}
		__asm volatile("mrs %0, psp" : "=r"(frame));
		return frame;
	}
	if (process_stack) {
		__asm volatile("mrs %0, psp_ns" : "=r"(frame));
	} else {
		__asm volatile("mrs %0, msp_ns" : "=r"(frame));
	}
	return memory_check_nonsecure(frame, FRAME_WORDS * sizeof *frame, MEMORY_WRITE) ? frame : NULL;
}

/* xPSR behind one instruction of an IT block (DDI 0553, ITAdvance); unchanged outside of one. */
static uint32_t advance_it(uint32_t xpsr)
{
	uint32_t it = (xpsr >> 8 & 0xFCu) | (xpsr >> 25 & 0x3u);

	if ((it & 0xFu) == 0) {
		return xpsr;
	}
	it = (it & 0x7u) == 0 ? 0 : (it & 0xE0u) | (it << 1 & 0x1Fu);
	return (xpsr & ~0x0600FC00u) | (it & 0xFCu) << 8 | (it & 0x3u) << 25;
}

/*
 * Let the non-secure side go on behind the instruction that faulted, with 0 in r0. Where the fetch itself was the
 * violation (a branch to secure memory), behind the branch: at the return address.
 */
static bool step_over(uint32_t *frame)
{
	const uint32_t pc = frame[FRAME_PC];

	frame[FRAME_R0] = 0;
	if (memory_check_nonsecure((const void *)(uintptr_t)pc, sizeof(uint16_t), MEMORY_READ)) {
		const uint16_t opcode = *(const uint16_t *)(uintptr_t)pc;

		frame[FRAME_XPSR] = advance_it(frame[FRAME_XPSR]);
		frame[FRAME_PC] = pc + (opcode >> 11 >= 0x1D ? 4u : 2u); /* DDI 0553, F3.1: 32-bit encodings */
		return true;
	}
	const uint32_t back = frame[FRAME_LR] & ~1u;

	if (back == pc || !memory_check_nonsecure((const void *)(uintptr_t)back, sizeof(uint16_t), MEMORY_READ)) {
		return false;
	}
	frame[FRAME_PC] = back;
	frame[FRAME_XPSR] |= 1u << 24; /* Thumb state, which a branch to an even address has lost */
	return true;
}

static uint32_t type_of_exception(void)
{
	uint32_t ipsr;

	__asm volatile("mrs %0, ipsr" : "=r"(ipsr));
	switch (ipsr & 0x1FFu) {
	case IPSR_MEM_MANAGE:
		return FAULT_MEM_MANAGE;
	case IPSR_BUS_FAULT:
		return FAULT_BUS;
	case IPSR_USAGE_FAULT:
		return FAULT_USAGE;
	case IPSR_SECURE_FAULT:
		return FAULT_SECURE;
	default:
		return FAULT_HARD;
	}
}

static void address_of(struct tfm_platform_fault *fault)
{
	if (fault->type == FAULT_SECURE && (fault->sfsr & SFSR_SFARVALID) != 0) {
		fault->address = SFAR;
		fault->has_address = 1;
	} else if ((fault->cfsr & CFSR_BFARVALID) != 0) {
		fault->address = SCB_BFAR;
		fault->has_address = 1;
	}
}

/* A clear is a rising edge: QEMU 7.2 misses it, and storms, without the zero before. */
static void clear_ppc(uint32_t status)
{
	SACFG->secppcintclr = 0;
	SACFG->secppcintclr = status;
}

static void clear_status(const struct tfm_platform_fault *fault)
{
	if (fault->ppc != 0) { /* a PPC that answers with a bus error interrupts as well: that is one violation */
		clear_ppc(fault->ppc);
		target_irq_clear(IRQ_PPC);
	}
	SCB_CFSR = ~0u;
	SCB_CFSR_NS = ~0u;
	SCB_HFSR = ~0u;
	SFSR = ~0u;
	MPC_ISRAM0->int_clear = 1;
	MPC_ISRAM1->int_clear = 1;
	MPC_SRAM->int_clear = 1;
}

__attribute__((used)) static void handle_fault(uint32_t exc_return, uint32_t *msp)
{
	const bool nonsecure = (exc_return & EXC_RETURN_S) == 0;
	uint32_t *const frame = frame_of(exc_return, msp);
	struct tfm_platform_fault fault = {
		.type = type_of_exception(),
		.pc = frame != NULL ? frame[FRAME_PC] : 0,
		.nonsecure = nonsecure ? 1 : 0,
		.cfsr = SCB_CFSR | SCB_CFSR_NS,
		.sfsr = SFSR,
		.ppc = SACFG->secppcintstat,
	};

	address_of(&fault);
	record(&fault);
	clear_status(&fault);
	if (!nonsecure) {
		spe_panic("fault in secure code");
	}
	if (frame == NULL || !step_over(frame)) {
		spe_panic("the non-secure side cannot go on after its fault");
	}
}

__attribute__((naked)) void Fault_Handler(void)
{
	__asm volatile("mov r0, lr\n"
		       "mrs r1, msp\n"
		       "push {r4, lr}\n"
		       "bl handle_fault\n"
		       "pop {r4, pc}\n");
}

__attribute__((used)) static void handle_ppc(uint32_t exc_return, uint32_t *msp)
{
	const uint32_t status = SACFG->secppcintstat;
	const uint32_t *const frame = frame_of(exc_return, msp);
	const struct tfm_platform_fault fault = {
		.type = FAULT_PPC,
		.pc = frame != NULL ? frame[FRAME_PC] : 0,
		.nonsecure = (exc_return & EXC_RETURN_S) == 0 ? 1 : 0,
		.ppc = status,
	};

	record(&fault);
	clear_ppc(status);
}

__attribute__((naked)) void PPC_Handler(void)
{
	__asm volatile("mov r0, lr\n"
		       "mrs r1, msp\n"
		       "push {r4, lr}\n"
		       "bl handle_ppc\n"
		       "pop {r4, pc}\n");
}
