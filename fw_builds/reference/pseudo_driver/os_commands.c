/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "commands.h"

#define MESSAGE_BUFFERS 2u /* what the UART's ring holds */

enum { ECHO_TEXT };
static const struct cbor_field echo_fields[] = { { "d", CBOR_TYPE_TEXT, true } };

static int32_t echo(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	cbor_put_map(out, 1);
	cbor_put_text(out, "r");
	cbor_put_text_n(out, values[ECHO_TEXT].data, values[ECHO_TEXT].len);
	return SMP_ERR_OK;
}

static bool reset_is_requested;

/* What MCUmgr clients may send; the device resets in any case and always into its only boot mode. */
static const struct cbor_field reset_fields[] = {
	{ "force", CBOR_TYPE_UINT, false },
	{ "boot_mode", CBOR_TYPE_UINT, false },
};

static int32_t reset(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	(void)values;
	reset_is_requested = true;
	cbor_put_map(out, 0);
	return SMP_ERR_OK;
}

bool reset_requested(void)
{
	return reset_is_requested;
}

static int32_t parameters(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out)
{
	(void)context;
	(void)values;
	cbor_put_map(out, 2);
	put_uint_pair(out, "buf_size", SMP_MAX_MESSAGE);
	put_uint_pair(out, "buf_count", MESSAGE_BUFFERS);
	return SMP_ERR_OK;
}

static const struct smp_command commands[] = {
	COMMAND(SMP_GROUP_OS, 0, SMP_WRITE, echo, echo_fields),
	COMMAND(SMP_GROUP_OS, 5, SMP_WRITE, reset, reset_fields),
	COMMAND_WITHOUT_FIELDS(SMP_GROUP_OS, 6, SMP_READ, parameters),
};

const struct smp_command_table os_commands = COMMAND_TABLE(commands);
