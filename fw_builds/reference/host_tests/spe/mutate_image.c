/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image in every broken form: mutate_image IMAGE KEY COUNT
 *
 * KEY is the 65-byte point and the 32-byte hash. The image itself must verify; no truncation, no flipped bit, and none
 * of COUNT random mutations may. Each form lies in memory of exactly its size, so that a read past it is seen.
 */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "mcuboot_image.h"

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % limit;
}

static uint8_t *read_file(const char *path, size_t *size)
{
	FILE *const file = fopen(path, "rb");

	CHECK(file != NULL);
	CHECK(fseek(file, 0, SEEK_END) == 0);
	*size = (size_t)ftell(file);
	rewind(file);
	uint8_t *const data = malloc(*size + 1);

	CHECK(data != NULL && fread(data, 1, *size, file) == *size);
	fclose(file);
	return data;
}

static enum mcuboot_status judge(const uint8_t *bytes, size_t size, const struct mcuboot_key *key)
{
	uint8_t *const exact = malloc(size != 0 ? size : 1);
	struct mcuboot_image image;

	CHECK(exact != NULL);
	memcpy(exact, bytes, size);
	enum mcuboot_status status = mcuboot_parse(exact, size, &image);

	if (status == MCUBOOT_OK) {
		status = mcuboot_verify(exact, &image, key, 0);
	}
	free(exact);
	return status;
}

static unsigned seen[16];

static void must_be_refused(const uint8_t *bytes, size_t size, const struct mcuboot_key *key, const char *what,
			    size_t at)
{
	const enum mcuboot_status status = judge(bytes, size, key);

	if (status == MCUBOOT_OK) {
		fprintf(stderr, "accepted: %s at %zu\n", what, at);
		exit(1);
	}
	seen[status]++;
}

/* Every bit of header and TLVs, one bit a byte in the payload. */
static unsigned flip_bits(const uint8_t *good, size_t size, uint8_t *work, const struct mcuboot_key *key)
{
	struct mcuboot_image image;
	unsigned count = 0;

	CHECK(mcuboot_parse(good, size, &image) == MCUBOOT_OK);
	const size_t payload = (size_t)(image.payload - good), end = payload + image.payload_size;

	for (size_t at = 0; at < size; at++) {
		const bool structure = at < 64 || at >= end;

		for (unsigned bit = structure ? 0 : random_below(8); bit < 8; bit += structure ? 1 : 8) {
			memcpy(work, good, size);
			work[at] ^= (uint8_t)(1u << bit);
			must_be_refused(work, size, key, "bit flip", at);
			count++;
		}
	}
	return count;
}

/* A few bytes set, or a stretch moved, or cut out; mostly where the structure is. */
static void mutate(const uint8_t *good, size_t size, uint8_t *work, size_t *work_size)
{
	memcpy(work, good, size);
	*work_size = size;
	for (unsigned n = 1 + random_below(4); n > 0; n--) {
		const uint32_t tail = 200;
		const size_t at = random_below(2) == 0 ? random_below(64) : size - 1 - random_below(tail);

		switch (random_below(4)) {
		case 0:
			work[at] = (uint8_t)random_below(256);
			break;
		case 1:
			work[at] = random_below(2) == 0 ? 0x00 : 0xFF;
			break;
		case 2: {
			const size_t from = random_below((uint32_t)size), len = random_below(64);

			if (from + len <= size && at + len <= size) {
				memmove(work + at, work + from, len);
			}
			break;
		}
		default:
			if (random_below(8) == 0) {
				*work_size = random_below((uint32_t)size);
			}
		}
	}
}

int main(int argc, char **argv)
{
	CHECK(argc == 4);
	size_t size, key_size;
	uint8_t *const good = read_file(argv[1], &size), *const key_bytes = read_file(argv[2], &key_size);
	uint8_t *const work = malloc(size);
	struct mcuboot_key key;

	CHECK(work != NULL && key_size == sizeof key.point + sizeof key.hash);
	memcpy(key.point, key_bytes, sizeof key.point);
	memcpy(key.hash, key_bytes + sizeof key.point, sizeof key.hash);
	CHECK(judge(good, size, &key) == MCUBOOT_OK);

	for (size_t cut = 0; cut < size; cut++) {
		must_be_refused(good, cut, &key, "truncation", cut);
	}
	const unsigned flips = flip_bits(good, size, work, &key);
	unsigned mutations = 0;

	for (unsigned long i = strtoul(argv[3], NULL, 10); i > 0; i--) {
		size_t work_size;

		mutate(good, size, work, &work_size);
		if (work_size == size && memcmp(work, good, size) == 0) {
			continue;
		}
		must_be_refused(work, work_size, &key, "mutation", i);
		mutations++;
	}
	printf("truncations %zu, bit flips %u, mutations %u: all refused\n", size, flips, mutations);
	for (unsigned i = 0; i < sizeof seen / sizeof seen[0]; i++) {
		if (seen[i] != 0) {
			printf("  %6u  %s\n", seen[i], mcuboot_status_text((enum mcuboot_status)i));
		}
	}
	free(good);
	free(key_bytes);
	free(work);
	return 0;
}
