/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The non-secure pseudo-driver: an SMP server on UART0 that hands requests to the secure services.
 */
#include "clock.h"
#include "commands.h"
#include "driver_features.h"
#include "log.h"
#include "smp_frame.h"
#include "smp_server.h"
#include "device_ioctl.h"
#include "uart.h"

static struct smp_stats stats;
static struct smp_rx rx;

static void answer(const uint8_t *message, size_t len)
{
	static const struct smp_command_table *const tables[] = {
		&os_commands,      &describe_command,  &inference_commands,
		&measure_commands, &identity_commands, &link_commands,
#if DRIVER_HAS_MODELS || DRIVER_HAS_UPDATE
		&model_commands,
#endif
#if DRIVER_HAS_INPUT_UPLOAD
		&input_commands,
#endif
#if DRIVER_HAS_PROTECTED_STORAGE
		&storage_commands,
#endif
#if DRIVER_HAS_PROBE
		&probe_commands,
#endif
	};
	static uint8_t out[SMP_MAX_MESSAGE];
	const struct smp_context context = { .stats = &stats, .received = ticks_now() };

	size_t out_len = smp_answer(tables, COUNT_OF(tables), &context, message, len, out);

	if (out_len == 0) {
		return;
	}
	stats.tx++;
	smp_send(out, out_len, uart_put);
}

int main(void)
{
	uart_init();
	smp_rx_init(&rx, &stats);
	log_line("ready");
	for (;;) {
		size_t len = smp_rx_byte(&rx, uart_get());

		if (len == 0) {
			continue;
		}
		answer(rx.message, len);
		if (reset_requested()) {
			uart_drain();
			(void)device_ioctl_reset();
		}
	}
}
