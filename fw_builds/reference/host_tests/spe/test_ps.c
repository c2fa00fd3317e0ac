/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protected storage, with the power cut at every byte it writes to flash and between all steps, and with every bit of
 * its flash changed. The cipher is the real one; the table is kept as internal trusted storage keeps it: whole, or not.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "aead.h"
#include "check.h"

/* Steps are bytes written to flash, and changes of the table; they stop when the power goes. */
static jmp_buf power_cut;
static size_t power_left = SIZE_MAX;

static void *store_memcpy(void *to, const void *from, size_t size);

#define memcpy store_memcpy
#include "ps_store.c"
#undef memcpy

static uint8_t flash[PS_FLASH_SIZE];
static uint8_t table[128];
static size_t table_size;
static const uint8_t *key = (const uint8_t *)"TEST_ONLY key 16";

/* Nonces that were used, with a digest of what for. */
#define NONCES_MAX 4096u
static struct {
	uint8_t nonce[PS_NONCE_SIZE];
	uint8_t ciphertext[PS_MAX_OBJECT_SIZE + PS_TAG_SIZE];
	size_t len;
} used[NONCES_MAX];
static size_t used_count;
static unsigned nonce_repeats;

static void *store_memcpy(void *to, const void *from, size_t size)
{
	const bool to_flash = (uint8_t *)to >= flash && (uint8_t *)to < flash + sizeof flash;

	if (!to_flash || power_left == SIZE_MAX) {
		return memcpy(to, from, size);
	}
	if (size > power_left) {
		memcpy(to, from, power_left);
		longjmp(power_cut, 1);
	}
	power_left -= size;
	return memcpy(to, from, size);
}

static psa_status_t table_get(void *to, size_t size, size_t *len)
{
	if (table_size == 0) {
		return PSA_ERROR_DOES_NOT_EXIST;
	}
	*len = size < table_size ? size : table_size;
	memcpy(to, table, *len);
	return PSA_SUCCESS;
}

static psa_status_t table_set(const void *from, size_t size)
{
	if (power_left != SIZE_MAX && power_left-- == 0) {
		longjmp(power_cut, 1);
	}
	CHECK(size <= sizeof table);
	memcpy(table, from, size);
	table_size = size;
	return PSA_SUCCESS;
}

static void remember(const uint8_t *nonce, const uint8_t *ciphertext, size_t len)
{
	for (size_t i = 0; i < used_count; i++) {
		if (memcmp(used[i].nonce, nonce, PS_NONCE_SIZE) == 0) {
			nonce_repeats += used[i].len != len || memcmp(used[i].ciphertext, ciphertext, len) != 0 ? 1 : 0;
			return;
		}
	}
	CHECK(used_count < NONCES_MAX);
	memcpy(used[used_count].nonce, nonce, PS_NONCE_SIZE);
	memcpy(used[used_count].ciphertext, ciphertext, len);
	used[used_count++].len = len;
}

static psa_status_t encrypt(const uint8_t nonce[PS_NONCE_SIZE], const uint8_t *aad, size_t aad_len,
			    const uint8_t *plaintext, size_t len, uint8_t *ciphertext, size_t size,
			    size_t *ciphertext_len)
{
	CHECK(size >= len + PS_TAG_SIZE);
	memcpy(ciphertext, plaintext, len);
	aead_encrypt(key, nonce, aad, aad_len, ciphertext, len, ciphertext + len);
	*ciphertext_len = len + PS_TAG_SIZE;
	remember(nonce, ciphertext, *ciphertext_len);
	return PSA_SUCCESS;
}

static psa_status_t decrypt(const uint8_t nonce[PS_NONCE_SIZE], const uint8_t *aad, size_t aad_len,
			    const uint8_t *ciphertext, size_t len, uint8_t *plaintext, size_t size,
			    size_t *plaintext_len)
{
	if (len < PS_TAG_SIZE) {
		return PSA_ERROR_INVALID_SIGNATURE;
	}
	CHECK(size >= len - PS_TAG_SIZE);
	memcpy(plaintext, ciphertext, len - PS_TAG_SIZE);
	*plaintext_len = len - PS_TAG_SIZE;
	return aead_decrypt(key, nonce, aad, aad_len, plaintext, *plaintext_len, ciphertext + *plaintext_len)
		       ? PSA_SUCCESS
		       : PSA_ERROR_INVALID_SIGNATURE;
}

static const struct ps_backend store = { flash, table_get, table_set, encrypt, decrypt };

static void blank(void)
{
	memset(flash, 0xff, sizeof flash);
	table_size = 0;
	used_count = 0;
	nonce_repeats = 0;
	power_left = SIZE_MAX;
}

static psa_status_t set(uint64_t uid, uint8_t value, size_t size)
{
	uint8_t data[PS_MAX_OBJECT_SIZE + 1];

	memset(data, value, sizeof data);
	return ps_set(&store, 1, uid, data, size, 0);
}

/* The status, or that the object is `size` times `value`. */
static psa_status_t get(uint64_t uid, uint8_t value, size_t size)
{
	uint8_t data[PS_MAX_OBJECT_SIZE];
	uint32_t flags;
	size_t len;
	const psa_status_t status = ps_get(&store, 1, uid, data, &len, &flags);

	if (status != PSA_SUCCESS) {
		return status;
	}
	if (len != size) {
		return PSA_ERROR_DATA_INVALID;
	}
	for (size_t i = 0; i < len; i++) {
		if (data[i] != value) {
			return PSA_ERROR_DATA_INVALID;
		}
	}
	return PSA_SUCCESS;
}

static void test_api(void)
{
	uint8_t data[PS_MAX_OBJECT_SIZE] = { 7 };
	uint32_t flags;
	size_t len;

	blank();
	CHECK(get(1, 0, 0) == PSA_ERROR_DOES_NOT_EXIST);
	for (size_t size = 0; size <= PS_MAX_OBJECT_SIZE; size++) {
		CHECK(set(1, (uint8_t)size, size) == PSA_SUCCESS && get(1, (uint8_t)size, size) == PSA_SUCCESS);
	}
	CHECK(set(1, 0, PS_MAX_OBJECT_SIZE + 1) == PSA_ERROR_INSUFFICIENT_STORAGE);
	CHECK(set(0, 0, 1) == PSA_ERROR_INVALID_ARGUMENT && get(0, 0, 1) == PSA_ERROR_INVALID_ARGUMENT);
	CHECK(ps_set(&store, 1, 2, NULL, 1, 0) == PSA_ERROR_INVALID_ARGUMENT);
	CHECK(ps_set(&store, 1, 2, data, 1, 2) == PSA_ERROR_NOT_SUPPORTED);
	CHECK(ps_get(&store, 2, 1, data, &len, &flags) == PSA_ERROR_DOES_NOT_EXIST); /* another owner's */
	CHECK(ps_set(&store, 2, 1, data, 3, PSA_STORAGE_FLAG_WRITE_ONCE) == PSA_SUCCESS);
	CHECK(ps_get(&store, 2, 1, data, &len, &flags) == PSA_SUCCESS && flags == 1 && len == 3);
	CHECK(ps_set(&store, 2, 1, data, 3, 0) == PSA_ERROR_NOT_PERMITTED);
	CHECK(ps_remove(&store, 2, 1) == PSA_ERROR_NOT_PERMITTED &&
	      ps_remove(&store, 1, 9) == PSA_ERROR_DOES_NOT_EXIST);
	CHECK(ps_remove(&store, 1, 0) == PSA_ERROR_INVALID_ARGUMENT);
	for (uint64_t uid = 10; uid < 10 + PS_MAX_OBJECTS - 2; uid++) {
		CHECK(set(uid, (uint8_t)uid, 8) == PSA_SUCCESS);
	}
	CHECK(set(99, 0, 1) == PSA_ERROR_INSUFFICIENT_STORAGE);
	CHECK(set(10, 5, 5) == PSA_SUCCESS && get(10, 5, 5) == PSA_SUCCESS);
	CHECK(ps_remove(&store, 1, 10) == PSA_SUCCESS && get(10, 5, 5) == PSA_ERROR_DOES_NOT_EXIST);
	CHECK(set(99, 0, 1) == PSA_SUCCESS && get(11, 11, 8) == PSA_SUCCESS && nonce_repeats == 0);
	table_size--;
	CHECK(get(99, 0, 1) == PSA_ERROR_DATA_CORRUPT); /* a table of another length is no table */
}

/* volatile: they live over longjmp() */
static void test_power_cut(void)
{
	volatile unsigned olds = 0, news = 0;
	volatile size_t budget = 0;

	for (volatile bool done = false; !done; budget++) {
		blank();
		CHECK(set(1, 1, 20) == PSA_SUCCESS && set(2, 2, 20) == PSA_SUCCESS && set(1, 10, 20) == PSA_SUCCESS);
		power_left = budget;
		if (setjmp(power_cut) == 0) {
			CHECK(set(1, 11, 20) == PSA_SUCCESS);
			done = true;
		}
		power_left = SIZE_MAX;
		const bool is_old = get(1, 10, 20) == PSA_SUCCESS, is_new = get(1, 11, 20) == PSA_SUCCESS;

		CHECK(is_old != is_new && get(2, 2, 20) == PSA_SUCCESS);
		CHECK(set(1, 12, 20) == PSA_SUCCESS && get(1, 12, 20) == PSA_SUCCESS && nonce_repeats == 0);
		olds += is_old ? 1 : 0;
		news += is_new ? 1 : 0;
	}
	CHECK(olds > PS_SECTOR_SIZE && news == 1);
	printf("ps: power cut in each of %u steps of a write: the old object %u times, then the new one; no nonce "
	       "twice\n",
	       olds + news - 1, olds);
}

static void test_changed_flash(void)
{
	static uint8_t saved[PS_FLASH_SIZE], older[PS_FLASH_SIZE];
	unsigned refused = 0;

	blank();
	CHECK(set(1, 1, 20) == PSA_SUCCESS && set(2, 2, 20) == PSA_SUCCESS);
	memcpy(older, flash, sizeof older);
	CHECK(set(1, 3, 20) == PSA_SUCCESS && set(1, 4, 20) == PSA_SUCCESS && set(2, 5, 20) == PSA_SUCCESS);
	memcpy(saved, flash, sizeof saved);
	for (size_t bit_number = 0; bit_number < 8 * (23 + 20 + PS_TAG_SIZE); bit_number++) {
		flash[bit_number / 8] ^= (uint8_t)(1u << bit_number % 8);
		CHECK(get(1, 4, 20) == PSA_ERROR_INVALID_SIGNATURE);
		memcpy(flash, saved, sizeof flash);
		refused++;
	}
	CHECK(get(1, 4, 20) == PSA_SUCCESS);
	memcpy(flash, older, sizeof flash);
	CHECK(get(1, 1, 20) == PSA_ERROR_INVALID_SIGNATURE && get(2, 2, 20) == PSA_ERROR_INVALID_SIGNATURE);
	memcpy(flash, saved, sizeof flash);
	for (unsigned from = 0; from < 2 * PS_MAX_OBJECTS; from++) { /* each sector in each other's place */
		for (unsigned to = 0; to < 2 * PS_MAX_OBJECTS; to++) {
			memcpy(flash + to * PS_SECTOR_SIZE, saved + from * PS_SECTOR_SIZE, PS_SECTOR_SIZE);
			const psa_status_t one = get(1, 4, 20), two = get(2, 5, 20);

			CHECK(one == PSA_SUCCESS || one == PSA_ERROR_INVALID_SIGNATURE);
			CHECK(two == PSA_SUCCESS || two == PSA_ERROR_INVALID_SIGNATURE);
			memcpy(flash, saved, sizeof flash);
		}
	}
	key = (const uint8_t *)"TEST_ONLY other.";
	CHECK(get(1, 4, 20) == PSA_ERROR_INVALID_SIGNATURE);
	key = (const uint8_t *)"TEST_ONLY key 16";
	memset(flash, 0, sizeof flash);
	CHECK(get(1, 4, 20) == PSA_ERROR_INVALID_SIGNATURE);
	CHECK(set(1, 6, 20) == PSA_SUCCESS && get(1, 6, 20) == PSA_SUCCESS);
	printf("ps: %u flipped bits, all refused\n", refused);
}

/* Heads of the ciphertext that say another length than there is, or not in the shortest form. */
static void test_length_of_the_ciphertext(void)
{
	blank();
	CHECK(set(1, 1, 20) == PSA_SUCCESS);
	uint8_t *const head = flash + 21; /* tag, array, protected header, {5: nonce} */

	CHECK(head[0] == 0x58 && head[1] == 20 + PS_TAG_SIZE);
	for (unsigned first = 0; first < 256; first++) {
		for (unsigned second = 0; second < 256; second++) {
			head[0] = (uint8_t)first;
			head[1] = (uint8_t)second;
			CHECK((get(1, 1, 20) == PSA_SUCCESS) == (first == 0x58 && second == 20 + PS_TAG_SIZE));
		}
	}
}

static void test_versions_end(void)
{
	struct table full = { .next = UINT32_MAX - 1 };

	blank();
	CHECK(table_set(&full, sizeof full) == PSA_SUCCESS);
	CHECK(set(1, 1, 1) == PSA_SUCCESS && get(1, 1, 1) == PSA_SUCCESS);
	CHECK(set(1, 2, 1) == PSA_ERROR_INSUFFICIENT_STORAGE && get(1, 1, 1) == PSA_SUCCESS); /* never from 0 again */
}

int main(void)
{
	test_api();
	test_power_cut();
	test_changed_flash();
	test_length_of_the_ciphertext();
	test_versions_end();
	return 0;
}
