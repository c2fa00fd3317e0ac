/* SPDX-License-Identifier: Apache-2.0 */
#include "its_store.h"

#include <string.h>

#define ITS_MAGIC 0x31535449u /* "ITS1" */

static uint32_t crc32(const void *data, size_t len)
{
	static const uint32_t nibble[16] = {
		0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
		0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
	};
	const uint8_t *at = data;
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc = nibble[(crc ^ at[i]) & 0xF] ^ crc >> 4;
		crc = nibble[(crc ^ (uint32_t)at[i] >> 4) & 0xF] ^ crc >> 4;
	}
	return ~crc;
}

static uint32_t crc_of(const struct its_copy *copy)
{
	return crc32(&copy->sequence, offsetof(struct its_copy, crc) - offsetof(struct its_copy, sequence));
}

static bool objects_are_sane(const struct its_copy *copy)
{
	for (size_t i = 0; i < ITS_MAX_OBJECTS; i++) {
		if (copy->objects[i].used > 1 || copy->objects[i].size > ITS_MAX_OBJECT_SIZE) {
			return false;
		}
	}
	return true;
}

static bool is_whole(const struct its_copy *copy)
{
	return copy->magic == ITS_MAGIC && copy->crc == crc_of(copy) && objects_are_sane(copy);
}

static bool is_untouched(const struct its_copy *copy)
{
	const uint8_t *const bytes = (const uint8_t *)copy;

	for (size_t i = 0; i < sizeof *copy; i++) {
		if (bytes[i] != 0) {
			return false;
		}
	}
	return true;
}

/*
 * The first write ever may have been cut short, before it counted: then one copy is untouched and the other has no magic
 * yet. Anything else once held a state that is lost.
 */
static bool is_blank(const struct its_copy *a, const struct its_copy *b)
{
	return a->magic == 0 && b->magic == 0 && (is_untouched(a) || is_untouched(b));
}

enum its_mount its_mount(struct its_store *store, struct its_copy *a, struct its_copy *b)
{
	const bool a_whole = is_whole(a), b_whole = is_whole(b);

	memset(store, 0, sizeof *store);
	store->copies[0] = a;
	store->copies[1] = b;
	if (!a_whole && !b_whole) {
		return is_blank(a, b) ? ITS_BLANK : ITS_CORRUPT;
	}
	const bool b_is_newer = (int32_t)(b->sequence - a->sequence) > 0;

	store->current = !a_whole || (b_whole && b_is_newer) ? 1 : 0;
	memcpy(&store->cache, store->copies[store->current], sizeof store->cache);
	return ITS_MOUNTED;
}

static void barrier(void)
{
	__asm volatile("" ::: "memory");
}

static void write_copy(struct its_copy *target, const struct its_copy *state)
{
	target->magic = 0;
	barrier();
	target->sequence = state->sequence;
	memcpy(target->objects, state->objects, sizeof target->objects);
	target->crc = state->crc;
	barrier();
	target->magic = ITS_MAGIC;
	barrier();
}

/* Make the cache, changed by the caller, the truth: first in the copy that may be lost, then in the other. */
static void commit(struct its_store *store)
{
	store->cache.sequence++;
	store->cache.magic = ITS_MAGIC;
	store->cache.crc = crc_of(&store->cache);
	write_copy(store->copies[1 - store->current], &store->cache);
	write_copy(store->copies[store->current], &store->cache);
	store->current = 1 - store->current;
}

static struct its_object *find(struct its_copy *copy, int32_t owner, uint64_t uid)
{
	for (size_t i = 0; i < ITS_MAX_OBJECTS; i++) {
		struct its_object *const object = &copy->objects[i];

		if (object->used != 0 && object->owner == owner && object->uid == uid) {
			return object;
		}
	}
	return NULL;
}

static const struct its_object *find_const(const struct its_copy *copy, int32_t owner, uint64_t uid)
{
	for (size_t i = 0; i < ITS_MAX_OBJECTS; i++) {
		const struct its_object *const object = &copy->objects[i];

		if (object->used != 0 && object->owner == owner && object->uid == uid) {
			return object;
		}
	}
	return NULL;
}

/* A place for a new object of this owner; NULL: the owner has had its share, or there is none. */
static struct its_object *find_free(struct its_copy *copy, int32_t owner)
{
	struct its_object *place = NULL;
	unsigned owned = 0;

	for (size_t i = 0; i < ITS_MAX_OBJECTS; i++) {
		struct its_object *const object = &copy->objects[i];

		if (object->used == 0 && place == NULL) {
			place = object;
		}
		owned += object->used != 0 && object->owner == owner ? 1 : 0;
	}
	return owned < ITS_MAX_OBJECTS_PER_OWNER ? place : NULL;
}

psa_status_t its_set(struct its_store *store, int32_t owner, uint64_t uid, const void *data, size_t size,
		     uint32_t flags)
{
	if (uid == 0 || (data == NULL && size != 0)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if ((flags & ~PSA_STORAGE_FLAG_WRITE_ONCE) != 0) {
		return PSA_ERROR_NOT_SUPPORTED;
	}
	if (size > ITS_MAX_OBJECT_SIZE) {
		return PSA_ERROR_INSUFFICIENT_STORAGE;
	}
	struct its_object *object = find(&store->cache, owner, uid);

	if (object != NULL && (object->flags & PSA_STORAGE_FLAG_WRITE_ONCE) != 0) {
		return PSA_ERROR_NOT_PERMITTED;
	}
	if (object == NULL) {
		object = find_free(&store->cache, owner);
	}
	if (object == NULL) {
		return PSA_ERROR_INSUFFICIENT_STORAGE;
	}
	memset(object, 0, sizeof *object);
	object->used = 1;
	object->owner = owner;
	object->uid = uid;
	object->flags = flags;
	object->size = (uint32_t)size;
	if (size != 0) {
		memcpy(object->data, data, size);
	}
	commit(store);
	return PSA_SUCCESS;
}

psa_status_t its_get(const struct its_store *store, int32_t owner, uint64_t uid, size_t offset, size_t size, void *data,
		     size_t *len)
{
	const struct its_object *const object = find_const(&store->cache, owner, uid);

	if (uid == 0 || len == NULL || (data == NULL && size != 0)) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (object == NULL) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	if (offset > object->size) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	*len = object->size - offset < size ? object->size - offset : size;
	if (*len != 0) {
		memcpy(data, object->data + offset, *len);
	}
	return PSA_SUCCESS;
}

psa_status_t its_info(const struct its_store *store, int32_t owner, uint64_t uid, struct psa_storage_info_t *info)
{
	const struct its_object *const object = find_const(&store->cache, owner, uid);

	if (uid == 0 || info == NULL) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (object == NULL) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	*info = (struct psa_storage_info_t){ ITS_MAX_OBJECT_SIZE, object->size, object->flags };
	return PSA_SUCCESS;
}

psa_status_t its_remove(struct its_store *store, int32_t owner, uint64_t uid)
{
	struct its_object *const object = find(&store->cache, owner, uid);

	if (uid == 0) {
		return PSA_ERROR_INVALID_ARGUMENT;
	}
	if (object == NULL) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	if ((object->flags & PSA_STORAGE_FLAG_WRITE_ONCE) != 0) {
		return PSA_ERROR_NOT_PERMITTED;
	}
	memset(object, 0, sizeof *object);
	commit(store);
	return PSA_SUCCESS;
}
