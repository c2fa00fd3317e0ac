/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of docs/protocol.md, one table for each file that implements some.
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "smp_server.h"

extern const struct smp_command_table os_commands;        /* group 0: echo, reset, parameters */
extern const struct smp_command_table describe_command;   /* group 64: describe */
extern const struct smp_command_table inference_commands; /* group 64: sample, infer */
extern const struct smp_command_table measure_commands;   /* group 64: batch, latency, trace */
extern const struct smp_command_table input_commands;     /* group 64: input-upload */
extern const struct smp_command_table identity_commands;  /* group 64: attest, keys, CSR */
extern const struct smp_command_table model_commands;     /* group 64: models, select, upload, activate */
extern const struct smp_command_table storage_commands;   /* group 64: ps-set, ps-get, ps-remove */
extern const struct smp_command_table probe_commands;     /* group 64: probe, faults, psa-call */
extern const struct smp_command_table link_commands;      /* group 64: stats, log, hold */

/* A reset was asked for; it is due once the answer is sent. */
bool reset_requested(void);

/* A key with its value. */
void put_text_pair(struct cbor_out *out, const char *key, const char *text);
void put_uint_pair(struct cbor_out *out, const char *key, uint64_t value);
void put_bytes_pair(struct cbor_out *out, const char *key, const void *data, size_t len);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
/* More fields than the server has room for do not compile. */
#define FIELD_COUNT(fields) (COUNT_OF(fields) * sizeof(char[COUNT_OF(fields) <= SMP_MAX_FIELDS ? 1 : -1]))
#define COMMAND(group, id, op, handler, fields) { group, id, op, handler, fields, FIELD_COUNT(fields) }
#define COMMAND_WITHOUT_FIELDS(group, id, op, handler) { group, id, op, handler, NULL, 0 }
#define COMMAND_TABLE(commands) { commands, COUNT_OF(commands) }

#endif
