/* SPDX-License-Identifier: Apache-2.0 */
#include "smp_server.h"

#include <string.h>

/* Byte 0 of the header: operation in bits 0..2, version in bits 3..4. */
#define OP_MASK 0x07u
#define VERSION_SHIFT 3u
#define VERSION_MASK 0x03u
#define VERSION_1 0u
#define VERSION_2 1u

struct header {
	uint8_t op;
	uint8_t version;
	uint16_t length;
	uint16_t group;
	uint8_t sequence;
	uint8_t id;
};

static uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static void put16(uint8_t *bytes, size_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static bool parse(const uint8_t *message, size_t len, struct header *header)
{
	if (len < SMP_HEADER_SIZE) {
		return false;
	}
	header->op = message[0] & OP_MASK;
	header->version = (message[0] >> VERSION_SHIFT) & VERSION_MASK;
	header->length = get16(message + 2);
	header->group = get16(message + 4);
	header->sequence = message[6];
	header->id = message[7];
	return header->length == len - SMP_HEADER_SIZE && (header->op == SMP_READ || header->op == SMP_WRITE);
}

static const struct smp_command *find(const struct smp_command_table *const *tables, size_t table_count,
				      const struct header *header)
{
	for (size_t t = 0; t < table_count; t++) {
		for (size_t c = 0; c < tables[t]->count; c++) {
			const struct smp_command *command = &tables[t]->commands[c];

			if (command->group == header->group && command->id == header->id && command->op == header->op) {
				return command;
			}
		}
	}
	return NULL;
}

static int32_t run(const struct smp_command *command, const struct smp_context *context, const uint8_t *payload,
		   size_t len, struct cbor_out *body)
{
	struct cbor_value values[SMP_MAX_FIELDS];

	if (!cbor_decode_map(payload, len, command->fields, command->field_count, values)) {
		context->stats->cbor++;
		return SMP_ERR_EINVAL;
	}
	int32_t error = command->handler(context, values, body);

	return error == SMP_ERR_OK && body->overflow ? SMP_ERR_EMSGSIZE : error;
}

/* A PSA status goes into version 2's `err` map as its negation; version 1 can only say "unknown error". */
static void put_error(struct cbor_out *body, const struct header *header, int32_t error)
{
	const uint64_t unknown_error = 1;

	cbor_put_map(body, 1);
	if (error < 0 && header->version != VERSION_1) {
		cbor_put_text(body, "err");
		cbor_put_map(body, 2);
		cbor_put_text(body, "group");
		cbor_put_uint(body, header->group);
		cbor_put_text(body, "rc");
		cbor_put_uint(body, (uint64_t)(-(int64_t)error));
		return;
	}
	cbor_put_text(body, "rc");
	cbor_put_uint(body, error < 0 ? unknown_error : (uint64_t)error);
}

size_t smp_answer(const struct smp_command_table *const *tables, size_t table_count, const struct smp_context *context,
		  const uint8_t *message, size_t len, uint8_t *out)
{
	struct header header;
	struct cbor_out body;
	int32_t error;

	if (!parse(message, len, &header)) {
		context->stats->bad++;
		return 0;
	}
	cbor_out_init(&body, out + SMP_HEADER_SIZE, SMP_MAX_MESSAGE - SMP_HEADER_SIZE);
	if (header.version > VERSION_2) {
		error = SMP_ERR_UNSUPPORTED_TOO_NEW;
	} else {
		const struct smp_command *command = find(tables, table_count, &header);

		error = command == NULL ? SMP_ERR_ENOTSUP
					: run(command, context, message + SMP_HEADER_SIZE, header.length, &body);
	}
	if (error != SMP_ERR_OK) {
		cbor_out_init(&body, out + SMP_HEADER_SIZE, SMP_MAX_MESSAGE - SMP_HEADER_SIZE);
		put_error(&body, &header, error);
	}
	uint8_t version = header.version > VERSION_2 ? VERSION_2 : header.version;

	out[0] = (uint8_t)((header.op + 1u) | (unsigned)version << VERSION_SHIFT);
	out[1] = 0;
	put16(out + 2, body.used);
	put16(out + 4, header.group);
	out[6] = header.sequence;
	out[7] = header.id;
	return SMP_HEADER_SIZE + body.used;
}
