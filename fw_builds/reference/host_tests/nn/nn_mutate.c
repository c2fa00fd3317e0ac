/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn_mutate MODEL SEED COUNT
 *
 * Gives COUNT mutants of the model, and every truncation of its first 2,048 and last 256 bytes plus a spread
 * between, to the interpreter. Prints how many ended with which status. A crash, a sanitizer report or a
 * disagreement between two runs ends the program; then `last_mutant.tflite` in the working directory is
 * the culprit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../partition/nn/nn.h"
#include "nn_host.h"

/* What was freed is kept apart for a while, to find who uses it: here that is models that are done with, and by
 * default so many that each new one lies in memory that was never touched. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1";
}

enum { ARENA = 128 * 1024 };

static unsigned long counts[NN_ERR_ARG + 1];

static void give(const uint8_t *bytes, size_t size)
{
	/* Written before each run, since a sanitizer ends the process without a chance to do it then. */
	if (getenv("NN_KEEP_MUTANT")) {
		FILE *f = fopen("last_mutant.tflite", "wb");

		if (!f || fwrite(bytes, 1, size, f) != size || fclose(f) != 0) {
			exit(2);
		}
	}
	counts[nn_host_exercise(bytes, size, ARENA)]++;
}

/* Values at which bounds and signs turn. */
static uint32_t interesting(struct nn_host_random *r, uint32_t old)
{
	static const uint32_t values[] = { 0,          1,          2,          3,          4,          7,
					   8,          127,        128,        255,        256,        32767,
					   65535,      65536,      0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe,
					   0x7fffff00, 0x7f800000, 0x00000001 };
	uint64_t draw = nn_host_next(r);

	switch (draw >> 62) {
	case 0:
		return old + (uint32_t)(draw % 33) - 16;
	case 1:
		return old ^ (1u << (draw % 32));
	case 2:
		return (uint32_t)(draw >> 8);
	default:
		return values[draw % (sizeof(values) / sizeof(values[0]))];
	}
}

static void mutate(struct nn_host_random *r, uint8_t *bytes, size_t size)
{
	unsigned edits = 1 + (unsigned)(nn_host_next(r) % 4);

	while (edits-- > 0) {
		size_t at = nn_host_next(r) % size;
		uint32_t word;

		/* Most of a model is weights: aim three times in four at its structure, near the ends. */
		if (nn_host_next(r) % 4 != 0) {
			at = nn_host_next(r) % 2 ? at % 1024 % size : size - 1 - at % (size < 6144 ? size : 6144);
		}
		switch (nn_host_next(r) % 4) {
		case 0:
			bytes[at] = (uint8_t)interesting(r, bytes[at]);
			break;
		case 1: /* one byte copied from elsewhere */
			bytes[at] = bytes[nn_host_next(r) % size];
			break;
		default: /* an aligned word */
			at &= ~(size_t)3;
			if (at + 4 > size) {
				break;
			}
			memcpy(&word, bytes + at, 4);
			word = interesting(r, word);
			memcpy(bytes + at, &word, 4);
			break;
		}
	}
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "OK",    "FORMAT", "UNSUPPORTED_OP", "UNSUPPORTED_TYPE",
					     "SHAPE", "QUANT",  "ARENA",          "ARG" };
	struct nn_host_random r;
	uint8_t *original, *mutant;
	unsigned long count;
	size_t size;

	if (argc != 4) {
		fprintf(stderr, "usage: nn_mutate MODEL SEED COUNT\n");
		return 2;
	}
	original = nn_host_read_file(argv[1], &size);
	r.state = strtoull(argv[2], NULL, 0) * 2 + 1;
	count = strtoul(argv[3], NULL, 0);
	mutant = malloc(size);
	if (!mutant) {
		return 2;
	}
	for (size_t cut = 0; cut < size; cut += cut < 2048 || cut + 256 > size ? 1 : 61) {
		give(original, cut);
	}
	for (unsigned long i = 0; i < count; i++) {
		memcpy(mutant, original, size);
		mutate(&r, mutant, size);
		give(mutant, size);
	}
	for (unsigned i = 0; i <= NN_ERR_ARG; i++) {
		printf("%s%s %lu", i ? " " : "", names[i], counts[i]);
	}
	printf("\n");
	free(original);
	free(mutant);
	return 0;
}
