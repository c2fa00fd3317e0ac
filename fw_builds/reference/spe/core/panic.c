/* SPDX-License-Identifier: Apache-2.0 */
#include "panic.h"

#include "fih.h"
#include "log.h"
#include "psa/service.h"
#include "target_cfg.h"

DECISION _Noreturn void spe_panic(const char *why)
{
	spe_log("SPE", "PANIC: %s", why);
	target_reset();
}

DECISION _Noreturn void psa_panic(void)
{
	spe_panic("a partition gave up");
}
