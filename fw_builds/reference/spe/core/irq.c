/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts of the partitions: the signals of their manifests, and their first-level handlers.
 */
#include "log.h"
#include "panic.h"
#include "psa/service.h"
#include "psa_manifest/tfm_inference.h"
#include "target_cfg.h"
#include "an547_regs.h"

void Sampling_Timer_Handler(void);
void Unexpected_Handler(void);

static uint32_t irq_of(psa_signal_t signal)
{
	if (signal != SAMPLING_TIMER_SIGNAL) {
		spe_panic("a partition named an interrupt signal that is not its own");
	}
	return IRQ_TIMER1;
}

void psa_irq_enable(psa_signal_t irq_signal)
{
	target_irq_enable(irq_of(irq_signal));
}

psa_irq_status_t psa_irq_disable(psa_signal_t irq_signal)
{
	return target_irq_disable(irq_of(irq_signal));
}

void psa_reset_signal(psa_signal_t irq_signal)
{
	target_irq_clear(irq_of(irq_signal));
}

void Sampling_Timer_Handler(void)
{
	(void)sampling_timer_flih(); /* nobody waits for signals in the SFN model */
}

void Unexpected_Handler(void)
{
	uint32_t ipsr;

	__asm volatile("mrs %0, ipsr" : "=r"(ipsr));
	spe_log("SPE", "exception %u has no handler", (unsigned int)(ipsr & 0x1FFu));
	spe_panic("unexpected exception");
}
