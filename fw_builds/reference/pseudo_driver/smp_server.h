/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP: headers, dispatch and errors (Zephyr's "SMP protocol specification", versions 1 and 2).
 */
#ifndef SMP_SERVER_H
#define SMP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "cbor_decode.h"
#include "cbor_encode.h"
#include "smp_frame.h"

#define SMP_HEADER_SIZE 8u

/* Errors of SMP itself (mcumgr_err_t); PSA statuses are negative, so the two do not meet. */
#define SMP_ERR_OK 0
#define SMP_ERR_EINVAL 3
#define SMP_ERR_EMSGSIZE 7
#define SMP_ERR_ENOTSUP 8
#define SMP_ERR_UNSUPPORTED_TOO_NEW 13

enum smp_op { SMP_READ = 0, SMP_READ_RSP = 1, SMP_WRITE = 2, SMP_WRITE_RSP = 3 };

#define SMP_GROUP_OS 0u
#define SMP_GROUP_INFERENCE 64u
#define SMP_MAX_FIELDS 8u

struct smp_context {
	struct smp_stats *stats;
	uint64_t received; /* ticks when the request was complete */
};

/*
 * A command: `fields` are its request; the handler gets their values in the same order and writes the answer's map.
 * It returns SMP_ERR_OK, an SMP error, or a psa_status_t.
 */
typedef int32_t smp_handler(const struct smp_context *context, const struct cbor_value *values, struct cbor_out *out);

struct smp_command {
	uint16_t group;
	uint8_t id;
	uint8_t op; /* enum smp_op: READ or WRITE */
	smp_handler *handler;
	const struct cbor_field *fields;
	size_t field_count;
};

struct smp_command_table {
	const struct smp_command *commands;
	size_t count;
};

/*
 * Answer a message: writes the answer into out[0..SMP_MAX_MESSAGE) and returns its length, or 0 when there is none to
 * give (not a request, or a header that does not fit the message; counted).
 */
size_t smp_answer(const struct smp_command_table *const *tables, size_t table_count, const struct smp_context *context,
		  const uint8_t *message, size_t len, uint8_t *out);

#endif
