/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Isolation between the worlds, and the reset.
 */
#ifndef TARGET_CFG_H
#define TARGET_CFG_H

#include <stdint.h>

/* Faults to secure handlers, priorities, floating point, the system counter. */
void target_cfg_core(void);

/* SAU, MPC, PPC and interrupt targets. */
void target_cfg_isolation(void);

/* Interrupts of the secure side: 1 enable, 0 disable. */
void target_irq_enable(uint32_t irq);
uint32_t target_irq_disable(uint32_t irq); /* 1 when it was enabled */
void target_irq_clear(uint32_t irq);

/* The SSE system counter's low word: ticks since this boot. */
uint32_t target_ticks(void);

_Noreturn void target_reset(void);

/* Start the non-secure image whose vectors are here. */
_Noreturn void target_launch_nonsecure(uint32_t vectors, uint32_t msp, uint32_t entry);

#endif
