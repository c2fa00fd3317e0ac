/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the road: a line on the secure log, then a reset.
 */
#ifndef SPE_PANIC_H
#define SPE_PANIC_H

_Noreturn void spe_panic(const char *why);

#endif
