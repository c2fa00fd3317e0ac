/* SPDX-License-Identifier: Apache-2.0 */
#include "target_cfg.h"

#include <arm_cmse.h>
#include <stddef.h>

#include "an547_regs.h"
#include "fih.h"
#include "memory_map.h"

_Static_assert(offsetof(struct sacfg, secppcinten) == 0x28, "SACFG");
_Static_assert(offsetof(struct sacfg, apbnsppc0) == 0x70, "SACFG");
_Static_assert(offsetof(struct sacfg, apbnsppcexp2) == 0x88, "SACFG");
_Static_assert(offsetof(struct mpc, blk_lut) == 0x1C, "MPC");

extern uint8_t __veneers_start[], __veneers_end[];

static void barrier(void)
{
	__asm volatile("dsb\n isb" ::: "memory");
}

void target_cfg_core(void)
{
	SCB_SHCSR |= SHCSR_FAULTS_ENA;
	SCB_AIRCR = AIRCR_VECTKEY | AIRCR_PRIS | AIRCR_SYSRESETREQS;
	SCB_NSACR |= NSACR_CP10_CP11;
	FPCCR |= FPCCR_TS | FPCCR_CLRONRET;
	SYSCOUNTER_CNTCR = CNTCR_EN;
	barrier();
}

static void sau_region(uint32_t number, uint32_t base, uint32_t end, uint32_t flags)
{
	SAU->rnr = number;
	SAU->rbar = base & ~31u;
	SAU->rlar = ((end - 1u) & ~31u) | flags | SAU_RLAR_EN;
}

static void mpc_init(struct mpc *mpc, uint32_t lut)
{
	const uint32_t last = mpc->blk_max;

	mpc->ctrl = MPC_CTRL_SEC_RESP | MPC_CTRL_AUTOINC;
	mpc->blk_idx = 0;
	for (uint32_t i = 0; i <= last; i++) {
		mpc->blk_lut = lut;
	}
}

static void peripherals_init(void)
{
	SACFG->secrespcfg = SECRESPCFG_BUS_ERROR;
	SACFG->apbnsppc0 = APBNSPPC0_TIMER0; /* time, for the non-secure side */
	SACFG->apbnsppcexp1 = 0;
	SACFG->apbnsppcexp2 = APBNSPPCEXP2_UART0;
	SACFG->secppcinten = SECPPCINTEN_ALL;
}

static void interrupts_init(void)
{
	for (uint32_t i = 0; i < IRQ_COUNT / 32u; i++) {
		NVIC_ICER(i) = ~0u;
		NVIC_ITNS(i) = 0;
	}
	NVIC_ITNS(IRQ_TIMER0 / 32u) |= 1u << (IRQ_TIMER0 % 32u);
	NVIC_ITNS(IRQ_UART0_TX / 32u) |= 1u << (IRQ_UART0_TX % 32u);
	NVIC_ITNS(IRQ_UART0_RX / 32u) |= 1u << (IRQ_UART0_RX % 32u);
	NVIC_ITNS(IRQ_UART0_COMBINED / 32u) |= 1u << (IRQ_UART0_COMBINED % 32u);
	NVIC_IPR(IRQ_TIMER1) = 0x40; /* above every non-secure interrupt, below the protection controllers' */
	target_irq_enable(IRQ_PPC);
}

void target_cfg_isolation(void)
{
	sau_region(0, NS_CODE_BASE, NS_CODE_BASE + NS_CODE_SIZE, 0);
	sau_region(1, NS_DATA_BASE, ISRAM1_NS_BASE + ISRAM1_SIZE, 0);
	sau_region(2, NS_PERIPHERALS_BASE, NS_PERIPHERALS_BASE + NS_PERIPHERALS_SIZE, 0);
	sau_region(3, (uint32_t)(uintptr_t)__veneers_start, (uint32_t)(uintptr_t)__veneers_end, SAU_RLAR_NSC);
	SAU->ctrl = SAU_CTRL_EN;
	barrier();
	SACFG->nsccfg = NSCCFG_CODENSC;

	mpc_init(MPC_SRAM, ~0u);
	mpc_init(MPC_ISRAM0, ~0u);
	mpc_init(MPC_ISRAM1, 0);

	peripherals_init();
	interrupts_init();
	barrier();
}

void target_irq_enable(uint32_t irq)
{
	NVIC_ISER(irq / 32u) = 1u << (irq % 32u);
	barrier();
}

uint32_t target_irq_disable(uint32_t irq)
{
	const uint32_t enabled = NVIC_ICER(irq / 32u) >> (irq % 32u) & 1u;

	NVIC_ICER(irq / 32u) = 1u << (irq % 32u);
	barrier();
	return enabled;
}

void target_irq_clear(uint32_t irq)
{
	NVIC_ICPR(irq / 32u) = 1u << (irq % 32u);
}

uint32_t target_ticks(void)
{
	return SYSCOUNTER_CNTCV_LOW;
}

DECISION _Noreturn void target_reset(void)
{
	barrier();
	SCB_AIRCR = AIRCR_VECTKEY | AIRCR_PRIS | AIRCR_SYSRESETREQS | AIRCR_SYSRESETREQ;
	barrier();
	/* Several branches: one that is skipped must not lead into the code behind. */
	__asm volatile("1: b 1b\n b 1b\n b 1b\n");
	__builtin_unreachable();
}

typedef void __attribute__((cmse_nonsecure_call)) nonsecure_entry(void);

DECISION _Noreturn void target_launch_nonsecure(uint32_t vectors, uint32_t msp, uint32_t entry)
{
	SCB_VTOR_NS = vectors;
	__asm volatile("msr msp_ns, %0" ::"r"(msp));
	nonsecure_entry *const start = (nonsecure_entry *)cmse_nsfptr_create((nonsecure_entry *)(uintptr_t)entry);

	start();
	target_reset(); /* the non-secure side returned from its reset handler */
}
