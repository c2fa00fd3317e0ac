/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies where (docs/protocol.md, "Virtual board").
 */
#ifndef MEMORY_MAP_H
#define MEMORY_MAP_H

/* The non-secure image and the non-secure side's RAM. */
#define NS_CODE_BASE 0x01000000u
#define NS_CODE_SIZE 0x00200000u
#define NS_DATA_BASE 0x21000000u
#define NS_DATA_SIZE 0x00200000u

/* Inside an SAU non-secure region; the MPC alone keeps the non-secure side out. */
#define ISRAM1_NS_BASE 0x21200000u
#define ISRAM1_SIZE 0x00200000u

#define NS_PERIPHERALS_BASE 0x40000000u
#define NS_PERIPHERALS_SIZE 0x10000000u

#define OTP_BASE 0x38000000u
#define ENTROPY_BASE 0x38001000u

#define MODEL_FACTORY_BASE 0x38100000u

#define NV_BASE 0x70000000u
#define NV_ITS_COPY_A (NV_BASE + 0x00000u)
#define NV_ITS_COPY_B (NV_BASE + 0x10000u)
#define NV_MODEL_BANK_BASE (NV_BASE + 0x100000u) /* two banks of MODEL_STORE_SLOT_SIZE */

/* Stands for flash outside of the chip: an attacker reads and writes it. */
#define NV_PS_FLASH_BASE (NV_BASE + 0x200000u)

#define COUNTER_HZ_VALUE 32000000u

#endif
