/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sampling timer's interrupt: set up for the secure side, handed to the SPM, which calls the partition's handler.
 *
 * VENDOR: the vector's name, TIMER1_Handler on Corstone-300.
 */
#include "interrupt.h"
#include "load/interrupt_defs.h"
#include "spm.h"
#include "tfm_hal_device_header.h"
#include "tfm_hal_interrupt.h"
#include "tfm_peripherals_def.h"

static struct irq_t sampling_timer;

void TIMER1_Handler(void);

void TIMER1_Handler(void)
{
	spm_handle_interrupt(sampling_timer.p_pt, sampling_timer.p_ildi);
}

enum tfm_hal_status_t tfm_sampling_timer_irq_init(void *p_pt, const struct irq_load_info_t *p_ildi)
{
	sampling_timer.p_pt = p_pt;
	sampling_timer.p_ildi = p_ildi;
	NVIC_SetPriority(TFM_SAMPLING_TIMER_IRQ, DEFAULT_IRQ_PRIORITY);
	NVIC_ClearTargetState(TFM_SAMPLING_TIMER_IRQ);
	NVIC_DisableIRQ(TFM_SAMPLING_TIMER_IRQ);
	return TFM_HAL_SUCCESS;
}
