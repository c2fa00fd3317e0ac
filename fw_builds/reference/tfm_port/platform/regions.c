/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure RAM as TF-M's linker script has it, as two absolute symbols for check_sections.cmake. Never linked.
 */
#include "region_defs.h"
#include "tfm_memory_sections.h"

#ifndef INFERENCE_RAM_START
#define INFERENCE_RAM_START S_DATA_START
#define INFERENCE_RAM_LIMIT S_DATA_LIMIT
#endif

void inference_regions(void);

void inference_regions(void)
{
	__asm volatile(".global inference_ram_start\n .set inference_ram_start, %c0" : : "i"(INFERENCE_RAM_START));
	__asm volatile(".global inference_ram_limit\n .set inference_ram_limit, %c0" : : "i"(INFERENCE_RAM_LIMIT));
}
