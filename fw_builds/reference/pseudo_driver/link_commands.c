/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "commands.h"
#include "driver_features.h"
#include "log.h"
#include "psa/error.h"
#include "uart.h"

#define LOG_LINES_MAX 1000u
#define LOG_LENGTH_MAX 1000u

/* stats */

static int32_t stats(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	const struct {
		const char *name;
		uint32_t value;
	} counters[] = {
		{ "rx", context->stats->rx },   { "crc", context->stats->crc },   { "bad", context->stats->bad },
		{ "big", context->stats->big }, { "cbor", context->stats->cbor }, { "ovr", uart_overruns() },
		{ "tx", context->stats->tx },
	};

	(void)values;
	cbor_put_map(out, COUNT_OF(counters));
	for (size_t i = 0; i < COUNT_OF(counters); i++) {
		cbor_put_text(out, counters[i].name);
		cbor_put_uint(out, counters[i].value);
	}
	return SMP_ERR_OK;
}

/* log */

enum { LOG_LINES, LOG_LENGTH };
static const struct cbor_field log_fields[] = {
	{ "n", CBOR_TYPE_UINT, true },
	{ "len", CBOR_TYPE_UINT, true },
};

static int32_t log_lines(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	if (values[LOG_LINES].number > LOG_LINES_MAX || values[LOG_LENGTH].number > LOG_LENGTH_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	log_test_lines((uint32_t)values[LOG_LINES].number, (uint32_t)values[LOG_LENGTH].number);
	cbor_put_map(out, 0);
	return SMP_ERR_OK;
}

#if DRIVER_HAS_HOLD
/* hold: nothing is taken out of the receive buffer until it is full, however fast or slow the sender is */

enum { HOLD_TICKS };
static const struct cbor_field hold_fields[] = {
	{ "t", CBOR_TYPE_UINT, true },
};

static int32_t hold(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	const uint64_t ticks = values[HOLD_TICKS].number;

	if (ticks == 0 || ticks > UINT32_MAX) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	while (uart_waiting() < uart_room() && ticks_now() - context->received < ticks) {
	}
	cbor_put_map(out, 2);
	put_uint_pair(out, "n", uart_waiting());
	put_uint_pair(out, "room", uart_room());
	return SMP_ERR_OK;
}
#endif

static const struct smp_command commands[] = {
	COMMAND_WITHOUT_FIELDS(SMP_GROUP_INFERENCE, 17, SMP_READ, stats),
	COMMAND(SMP_GROUP_INFERENCE, 18, SMP_WRITE, log_lines, log_fields),
#if DRIVER_HAS_HOLD
	COMMAND(SMP_GROUP_INFERENCE, 19, SMP_WRITE, hold, hold_fields),
#endif
};

const struct smp_command_table link_commands = COMMAND_TABLE(commands);
