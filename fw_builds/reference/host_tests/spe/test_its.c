/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object store, with the power cut at every byte it writes.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

/* Writes to the two copies of the "NV memory" are counted, and stop when the power goes. */
static jmp_buf power_cut;
static size_t power_left = SIZE_MAX;

static void *store_memcpy(void *to, const void *from, size_t size);

#define memcpy store_memcpy
#include "its_store.c"
#undef memcpy

static struct its_copy nv[2];

static void *store_memcpy(void *to, const void *from, size_t size)
{
	const bool to_nv =
		(const uint8_t *)to >= (const uint8_t *)nv && (const uint8_t *)to < (const uint8_t *)(nv + 2);

	if (!to_nv || power_left == SIZE_MAX) {
		return memcpy(to, from, size);
	}
	if (size > power_left) {
		memcpy(to, from, power_left);
		longjmp(power_cut, 1);
	}
	power_left -= size;
	return memcpy(to, from, size);
}

static uint32_t value_of(const struct its_store *store, int32_t owner, uint64_t uid)
{
	uint32_t value = 0;
	size_t len = 0;

	return its_get(store, owner, uid, 0, sizeof value, &value, &len) == PSA_SUCCESS && len == 4 ? value
												    : UINT32_MAX;
}

static void set(struct its_store *store, uint64_t uid, uint32_t value)
{
	CHECK(its_set(store, 1, uid, &value, sizeof value, 0) == PSA_SUCCESS);
}

static void test_api(void)
{
	static struct its_store store;
	uint8_t big[ITS_MAX_OBJECT_SIZE + 1] = { 1 };
	struct psa_storage_info_t info;
	size_t len;

	memset(nv, 0, sizeof nv);
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_BLANK);
	CHECK(value_of(&store, 1, 7) == UINT32_MAX);
	CHECK(its_get(&store, 1, 7, 0, 4, big, &len) == PSA_ERROR_DOES_NOT_EXIST);
	set(&store, 7, 42);
	CHECK(value_of(&store, 1, 7) == 42);
	CHECK(value_of(&store, 2, 7) == UINT32_MAX); /* another owner's */
	CHECK(its_set(&store, 1, 0, big, 1, 0) == PSA_ERROR_INVALID_ARGUMENT);
	CHECK(its_set(&store, 1, 1, NULL, 1, 0) == PSA_ERROR_INVALID_ARGUMENT);
	CHECK(its_set(&store, 1, 1, big, 1, 0x80) == PSA_ERROR_NOT_SUPPORTED);
	CHECK(its_set(&store, 1, 1, big, sizeof big, 0) == PSA_ERROR_INSUFFICIENT_STORAGE);
	CHECK(its_get(&store, 1, 7, 5, 1, big, &len) == PSA_ERROR_INVALID_ARGUMENT);
	CHECK(its_get(&store, 1, 7, 2, 100, big, &len) == PSA_SUCCESS && len == 2);
	CHECK(its_info(&store, 1, 7, &info) == PSA_SUCCESS && info.size == 4 && info.flags == 0);
	CHECK(its_set(&store, 1, 8, big, 3, PSA_STORAGE_FLAG_WRITE_ONCE) == PSA_SUCCESS);
	CHECK(its_set(&store, 1, 8, big, 3, 0) == PSA_ERROR_NOT_PERMITTED);
	CHECK(its_remove(&store, 1, 8) == PSA_ERROR_NOT_PERMITTED);
	CHECK(its_remove(&store, 1, 9) == PSA_ERROR_DOES_NOT_EXIST);
	CHECK(its_remove(&store, 1, 7) == PSA_SUCCESS && value_of(&store, 1, 7) == UINT32_MAX);
	for (uint64_t uid = 100; uid < 100 + ITS_MAX_OBJECTS_PER_OWNER - 1; uid++) { /* and uid 8 */
		set(&store, uid, (uint32_t)uid);
	}
	CHECK(its_set(&store, 1, 99, big, 1, 0) == PSA_ERROR_INSUFFICIENT_STORAGE);
	set(&store, 100, 5); /* what is there may change */
	for (uint64_t uid = 100; uid < 100 + ITS_MAX_OBJECTS - ITS_MAX_OBJECTS_PER_OWNER; uid++) {
		CHECK(its_set(&store, 2, uid, big, 1, 0) == PSA_SUCCESS);
	}
	CHECK(its_set(&store, 3, 1, big, 1, 0) == PSA_ERROR_INSUFFICIENT_STORAGE);
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_MOUNTED);
	CHECK(value_of(&store, 1, 110) == 110);
}

/* volatile: they live over longjmp() */
static void test_power_cut(void)
{
	static struct its_store store;
	volatile unsigned olds = 0, news = 0;
	volatile size_t budget = 0;

	for (volatile bool done = false; !done; budget++) {
		memset(nv, 0, sizeof nv);
		power_left = SIZE_MAX;
		CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_BLANK);
		set(&store, 1, 1000);
		set(&store, 2, 2000);
		power_left = budget;
		if (setjmp(power_cut) == 0) {
			set(&store, 1, 1001);
			done = true;
		}
		power_left = SIZE_MAX;
		CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_MOUNTED);
		const uint32_t seen = value_of(&store, 1, 1);

		CHECK(seen == (budget < sizeof nv[0].objects ? 1000u : 1001u)); /* the first copy is there, or is not */
		CHECK(value_of(&store, 1, 2) == 2000);
		set(&store, 1, 1002); /* and the store works on */
		CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_MOUNTED && value_of(&store, 1, 1) == 1002);
		olds += seen == 1000 ? 1 : 0;
		news += seen == 1001 ? 1 : 0;
	}
	CHECK(olds > 1000 && news > 1000);
	printf("its: power cut at each of %u bytes: the old state %u times, then the new one\n", olds + news - 1, olds);
}

static void test_first_write_cut(void)
{
	static struct its_store store;

	memset(nv, 0, sizeof nv);
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_BLANK);
	power_left = 100;
	if (setjmp(power_cut) == 0) {
		set(&store, 1, 1);
		CHECK(false);
	}
	power_left = SIZE_MAX;
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_BLANK);
}

/* Without their magic two written copies are a lost state, not a new board. */
static void test_no_magic_is_not_blank(void)
{
	static struct its_store store;

	memset(nv, 0, sizeof nv);
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_BLANK);
	set(&store, 1, 1);
	nv[0].magic = nv[1].magic = 0;
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_CORRUPT);
}

static void flip(struct its_copy *copy, size_t bit)
{
	((uint8_t *)copy)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void test_bit_rot(void)
{
	static struct its_store store;
	static struct its_copy saved[2];

	memset(nv, 0, sizeof nv);
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_BLANK);
	set(&store, 1, 1);
	set(&store, 1, 2);
	memcpy(saved, nv, sizeof nv);
	for (size_t bit = 0; bit < 8 * (offsetof(struct its_copy, crc) + 4); bit += bit < 8 * 256 ? 1 : 61) {
		for (unsigned copy = 0; copy < 2; copy++) {
			memcpy(nv, saved, sizeof nv);
			flip(&nv[copy], bit);
			CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_MOUNTED && value_of(&store, 1, 1) == 2);
		}
		flip(&nv[0], bit);
		CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_CORRUPT);
	}
	/* a whole copy with absurd sizes, and a right CRC */
	memcpy(nv, saved, sizeof nv);
	nv[1].objects[0].size = ITS_MAX_OBJECT_SIZE + 1;
	nv[1].crc = crc_of(&nv[1]);
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_MOUNTED && value_of(&store, 1, 1) == 2);
	CHECK(crc32("123456789", 9) == 0xCBF43926u);
}

static void test_sequence_wraps(void)
{
	static struct its_store store;

	memset(nv, 0, sizeof nv);
	CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_BLANK);
	store.cache.sequence = UINT32_MAX - 2;
	for (uint32_t i = 0; i < 6; i++) {
		set(&store, 1, i);
		CHECK(its_mount(&store, &nv[0], &nv[1]) == ITS_MOUNTED && value_of(&store, 1, 1) == i);
	}
}

int main(void)
{
	test_api();
	test_power_cut();
	test_first_write_cut();
	test_no_magic_is_not_blank();
	test_bit_rot();
	test_sequence_wraps();
	return 0;
}
