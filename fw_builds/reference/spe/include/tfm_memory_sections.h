/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sections of secure ISRAM1 (secure view 0x31200000), each in memory protection blocks of its own. They are
 * not initialised at start-up: their users do that.
 */
#ifndef TFM_MEMORY_SECTIONS_H
#define TFM_MEMORY_SECTIONS_H

#define SECTION_SENSOR_WINDOW __attribute__((section(".isram1.window"), aligned(8)))
#define SECTION_MODEL __attribute__((section(".isram1.model"), aligned(16)))
#define SECTION_ARENA __attribute__((section(".isram1.arena"), aligned(16)))
#define SECTION_CHECK_ARENA __attribute__((section(".isram1.check_arena"), aligned(16)))
#define SECTION_BANK __attribute__((section(".isram1.bank"), aligned(16)))

#endif
