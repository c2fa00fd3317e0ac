/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers of the MPS3 AN547 image (Corstone SSE-300, Cortex-M55) that the SPE programs.
 *
 * Sources: Arm DAI 0547 (AN547), Arm 101773 (SSE-300 TRM), Arm DDI 0571 (SIE-200: MPC, PPC), Arm DDI 0553
 * (Armv8-M). Peripherals are named at their secure alias.
 */
#ifndef AN547_REGS_H
#define AN547_REGS_H

#include <stdint.h>

#define NS_OF(secure_address) ((secure_address) - 0x10000000u)

/* CMSDK APB UART */
struct cmsdk_uart {
	volatile uint32_t data;
	volatile uint32_t state;
	volatile uint32_t ctrl;
	volatile uint32_t intstatus;
	volatile uint32_t bauddiv;
};

#define UART_STATE_TX_FULL (1u << 0)
#define UART_CTRL_TX_EN (1u << 0)
#define UART1 ((struct cmsdk_uart *)0x59304000u)

/* SSE-300 secure access configuration (SACFG). The offsets are checked in target_cfg.c. */
struct sacfg {
	uint32_t reserved0[4];
	volatile uint32_t secrespcfg;    /* 0x010 */
	volatile uint32_t nsccfg;        /* 0x014 */
	uint32_t reserved1[1];
	volatile uint32_t secmpcintstat; /* 0x01C */
	volatile uint32_t secppcintstat; /* 0x020 */
	volatile uint32_t secppcintclr;  /* 0x024 */
	volatile uint32_t secppcinten;   /* 0x028 */
	uint32_t reserved2[17];
	volatile uint32_t apbnsppc0;     /* 0x070 */
	volatile uint32_t apbnsppc1;     /* 0x074 */
	uint32_t reserved3[2];
	volatile uint32_t apbnsppcexp0;  /* 0x080 */
	volatile uint32_t apbnsppcexp1;  /* 0x084 */
	volatile uint32_t apbnsppcexp2;  /* 0x088 */
};

#define SACFG ((struct sacfg *)0x50080000u)
#define SECRESPCFG_BUS_ERROR (1u << 0)
#define NSCCFG_CODENSC (1u << 0)    /* the IDAU lets 0x10000000.. be non-secure callable */
#define SECPPCINTEN_ALL 0x00F000F3u
#define APBNSPPC0_TIMER0 (1u << 0)
#define APBNSPPCEXP1_I2C3 (1u << 6)    /* shield 1 I2C: the sensors */
#define APBNSPPCEXP2_UART0 (1u << 3)

/* SIE-200 memory protection controller */
struct mpc {
	volatile uint32_t ctrl;
	uint32_t reserved0[3];
	volatile uint32_t blk_max; /* 0x10 */
	volatile uint32_t blk_cfg; /* 0x14 */
	volatile uint32_t blk_idx; /* 0x18 */
	volatile uint32_t blk_lut; /* 0x1C: one bit a block, 1 non-secure */
	volatile uint32_t int_stat;
	volatile uint32_t int_clear; /* 0x24 */
};

#define MPC_CTRL_SEC_RESP (1u << 4) /* bus error on a violation */
#define MPC_CTRL_AUTOINC (1u << 8)
#define MPC_BLK_CFG_SIZE(cfg) (1u << (((cfg) & 0xFu) + 5u))
#define MPC_ISRAM0 ((struct mpc *)0x50083000u)
#define MPC_ISRAM1 ((struct mpc *)0x50084000u)
#define MPC_SRAM ((struct mpc *)0x57000000u)

/* SSE system counter, control frame */
#define SYSCOUNTER_CNTCR (*(volatile uint32_t *)0x58100000u)
#define SYSCOUNTER_CNTCV_LOW (*(volatile uint32_t *)0x58100008u)
#define CNTCR_EN (1u << 0)

/* Armv8-M system control */
#define SCB_VTOR_NS (*(volatile uint32_t *)0xE002ED08u)
#define SCB_AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define SCB_SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define SCB_CFSR (*(volatile uint32_t *)0xE000ED28u)
#define SCB_CFSR_NS (*(volatile uint32_t *)0xE002ED28u)
#define SCB_HFSR (*(volatile uint32_t *)0xE000ED2Cu)
#define SCB_BFAR (*(volatile uint32_t *)0xE000ED38u)
#define SCB_NSACR (*(volatile uint32_t *)0xE000ED8Cu)
#define SCB_MMFAR_NS (*(volatile uint32_t *)0xE002ED34u)
#define SFSR (*(volatile uint32_t *)0xE000EDE4u)
#define SFAR (*(volatile uint32_t *)0xE000EDE8u)
#define FPCCR (*(volatile uint32_t *)0xE000EF34u)

#define AIRCR_VECTKEY (0x05FAu << 16)
#define AIRCR_PRIS (1u << 14) /* non-secure priorities rank below secure ones */
#define AIRCR_SYSRESETREQS (1u << 3)  /* only the secure side may request a reset */
#define AIRCR_SYSRESETREQ (1u << 2)
#define SHCSR_FAULTS_ENA ((1u << 19) | (1u << 18) | (1u << 17) | (1u << 16))
#define NSACR_CP10_CP11 (3u << 10)
#define FPCCR_TS (1u << 26) /* floating-point registers count as secure: cleared on the way out */
#define FPCCR_CLRONRET (1u << 28)
#define CFSR_BFARVALID (1u << 15)
#define CFSR_MMARVALID (1u << 7)
#define SFSR_SFARVALID (1u << 6)

struct sau {
	volatile uint32_t ctrl;
	volatile uint32_t type;
	volatile uint32_t rnr;
	volatile uint32_t rbar;
	volatile uint32_t rlar;
};

#define SAU ((struct sau *)0xE000EDD0u)
#define SAU_CTRL_EN (1u << 0)
#define SAU_RLAR_EN (1u << 0)
#define SAU_RLAR_NSC (1u << 1)

#define NVIC_ISER(n) (*(volatile uint32_t *)(0xE000E100u + 4u * (n)))
#define NVIC_ICER(n) (*(volatile uint32_t *)(0xE000E180u + 4u * (n)))
#define NVIC_ICPR(n) (*(volatile uint32_t *)(0xE000E280u + 4u * (n)))
#define NVIC_ITNS(n) (*(volatile uint32_t *)(0xE000E380u + 4u * (n)))
#define NVIC_IPR(n) (*(volatile uint8_t *)(0xE000E400u + (n)))

#define IRQ_TIMER0 3u
#define IRQ_TIMER1 4u
#define IRQ_PPC 10u
#define IRQ_UART0_TX 33u
#define IRQ_UART0_RX 34u
#define IRQ_UART0_COMBINED 43u
#define IRQ_COUNT 96u

#define IPSR_MEM_MANAGE 4u
#define IPSR_BUS_FAULT 5u
#define IPSR_USAGE_FAULT 6u
#define IPSR_SECURE_FAULT 7u

#define EXC_RETURN_S (1u << 6) /* the frame is on a secure stack */
#define EXC_RETURN_SPSEL (1u << 2) /* it is on the process stack */
#define EXC_RETURN_MODE (1u << 3) /* thread mode was interrupted */

#endif
