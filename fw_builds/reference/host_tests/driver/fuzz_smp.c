/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer on everything behind the UART: bytes of the wire, or a message with the framing left out. */
#include <string.h>

#include "commands.h"
#include "fake_services.h"
#include "uart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const uint8_t *message, size_t len, struct smp_stats *stats)
{
	static const struct smp_command_table *const tables[] = {
		&os_commands,    &describe_command, &inference_commands, &measure_commands, &identity_commands,
		&model_commands, &probe_commands,   &link_commands,      &input_commands,
	};
	static uint8_t out[SMP_MAX_MESSAGE];
	const struct smp_context context = { .stats = stats };
	size_t n = smp_answer(tables, COUNT_OF(tables), &context, message, len, out);

	if (n != 0) {
		smp_send(out, n, uart_put);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct smp_rx rx;
	struct smp_stats stats = { 0 };

	if (size == 0) {
		return 0;
	}
	fake_random = 1;
	fake_faults = data[0] >> 1 & 1;
	if ((data[0] & 1) != 0) {
		if (size - 1 <= SMP_MAX_MESSAGE) {
			answer(data + 1, size - 1, &stats);
		}
		return 0;
	}
	smp_rx_init(&rx, &stats);
	for (size_t i = 1; i < size; i++) {
		size_t n = smp_rx_byte(&rx, data[i]);

		if (n != 0) {
			answer(rx.message, n, &stats);
		}
	}
	return 0;
}
