/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small object store in two copies of memory that keeps its content. A change is written to one copy, where it counts
 * only once its CRC stands, and then to the other: a reset at any moment leaves the old state or the new one, and later
 * damage to either copy loses nothing - no counter in here ever goes back.
 */
#ifndef ITS_STORE_H
#define ITS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "psa/internal_trusted_storage.h"

#define ITS_MAX_OBJECTS 32u
#define ITS_MAX_OBJECTS_PER_OWNER 16u /* so that no owner can take the others' room */

struct its_object {
	uint32_t used;
	int32_t owner;
	uint64_t uid;
	uint32_t flags;
	uint32_t size;
	uint8_t data[ITS_MAX_OBJECT_SIZE];
};

struct its_copy {
	uint32_t magic;
	uint32_t sequence;
	struct its_object objects[ITS_MAX_OBJECTS];
	uint32_t crc; /* CRC-32 (ISO-HDLC) of sequence and objects */
};

struct its_store {
	struct its_copy *copies[2];
	unsigned current; /* the copy that is whole at any time */
	struct its_copy cache; /* what copies[current] says */
};

enum its_mount { ITS_MOUNTED, ITS_BLANK, ITS_CORRUPT };

/* ITS_BLANK: never written, starts empty. ITS_CORRUPT: written, and neither copy is whole; nothing may be done. */
enum its_mount its_mount(struct its_store *store, struct its_copy *a, struct its_copy *b);

psa_status_t its_set(struct its_store *store, int32_t owner, uint64_t uid, const void *data, size_t size,
		     uint32_t flags);
psa_status_t its_get(const struct its_store *store, int32_t owner, uint64_t uid, size_t offset, size_t size, void *data,
		     size_t *len);
psa_status_t its_info(const struct its_store *store, int32_t owner, uint64_t uid, struct psa_storage_info_t *info);
psa_status_t its_remove(struct its_store *store, int32_t owner, uint64_t uid);

#endif
