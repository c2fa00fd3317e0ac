/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secure side's boot: isolate, identify, verify, start.
 */
#include "device.h"
#include "fih.h"
#include "log.h"
#include "model_store.h"
#include "nspe_boot.h"
#include "nv.h"
#include "panic.h"
#include "psa_manifest/pid.h"
#include "psa/service.h"
#include "psa_manifest/tfm_inference.h"
#include "spe_version.h"
#include "spm.h"
#include "target_cfg.h"
#include "uart_log.h"

_Noreturn void spe_main(void);

/* Several branches back: when one is skipped, the next must not be the code behind. */
DECISION __attribute__((naked)) static void sleep_forever(void)
{
	__asm volatile("1: wfi\n b 1b\n b 1b\n b 1b\n");
}

DECISION _Noreturn static void halt(const char *why)
{
	spe_log("BOOT", "halted: %s", why);
	sleep_forever();
	FIH_PANIC();
}

static void start_partitions(void)
{
	spm_set_partition(TFM_SP_INFERENCE);
	const psa_status_t status = tfm_inference_init();

	spm_set_partition(0);
	if (status != PSA_SUCCESS) {
		spe_log("SPE", "inference partition did not start: %d", (int)status);
		spe_panic("a partition did not start");
	}
}

DECISION _Noreturn void spe_main(void)
{
	struct nspe_entry entry;

	uart_log_init();
	spe_log("SPE", "tfm-harness reference SPE %s", SPE_VERSION);
	target_cfg_core();
	target_cfg_isolation();
	if (!nv_mount()) {
		halt("NV area corrupt: security counters lost");
	}
	device_init();
	if (!nspe_verify(&entry, &device()->nspe)) {
		halt("no non-secure image to start");
	}
	start_partitions();
	model_store_init(); /* asks the inference partition about models */
	FIH_REQUIRE(nspe_confirm(&entry, &device()->nspe));
	spe_log("BOOT", "starting the non-secure image at tick %u", (unsigned int)target_ticks());
	target_launch_nonsecure(entry.vectors, entry.msp, entry.reset);
}
