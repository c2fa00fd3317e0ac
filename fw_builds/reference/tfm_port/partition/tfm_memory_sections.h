/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the partition's large data stand. Names that begin with .bss are placed by TF-M's linker script with the partition's
 * other data, in secure RAM; those of other names would land in flash, which check_sections.cmake refuses.
 *
 * VENDOR: names of your own linker script's sections, if these data have a memory of their own.
 */
#ifndef TFM_MEMORY_SECTIONS_H
#define TFM_MEMORY_SECTIONS_H

#define SECTION_SENSOR_WINDOW __attribute__((section(".bss.inference_window"), aligned(8)))
#define SECTION_MODEL __attribute__((section(".bss.inference_model"), aligned(16)))
#define SECTION_ARENA __attribute__((section(".bss.inference_arena"), aligned(16)))

#endif
