/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../partition/nn/nn.h"

uint64_t nn_host_next(struct nn_host_random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * UINT64_C(0x2545F4914F6CDD1D);
}

static void *allocate(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p) {
		fprintf(stderr, "out of memory: %zu bytes\n", size);
		exit(2);
	}
	return p;
}

uint8_t *nn_host_read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes;
	long end;

	if (!f || fseek(f, 0, SEEK_END) != 0 || (end = ftell(f)) < 0) {
		perror(path);
		exit(2);
	}
	rewind(f);
	*size = (size_t)end;
	bytes = allocate(*size);
	if (fread(bytes, 1, *size, f) != *size) {
		fprintf(stderr, "%s: short read\n", path);
		exit(2);
	}
	fclose(f);
	return bytes;
}

static void fill_input(struct nn_model *m)
{
	struct nn_host_random r = { UINT64_C(0x9E3779B97F4A7C15) };
	size_t len;
	int8_t *in = nn_input(m, &len);

	for (size_t i = 0; i < len; i++) {
		in[i] = (int8_t)(nn_host_next(&r) >> 56);
	}
}

static int8_t *run(struct nn_model *m)
{
	size_t len;
	const int8_t *out;
	int8_t *copy;

	fill_input(m);
	if (nn_model_invoke(m) != NN_OK) {
		abort();
	}
	out = nn_output(m, &len);
	copy = allocate(len);
	memcpy(copy, out, len);
	return copy;
}

int nn_host_exercise(const uint8_t *bytes, size_t size, size_t arena_size)
{
	static struct nn_model m; /* as on the device: too large for a stack */
	uint8_t *model = allocate(size), *arena = allocate(arena_size);
	int8_t *alone[NN_MAX_TENSORS] = { NULL };
	int8_t *first, *again, *isolated;
	enum nn_status status;
	size_t len;

	memcpy(model, bytes, size);
	memset(arena, 0xA5, arena_size);
	status = nn_model_init(&m, model, size, arena, arena_size);
	if (status == NN_OK) {
		nn_output(&m, &len);
		first = run(&m);
		again = run(&m);
		for (uint32_t i = 0; i < m.tensor_count; i++) {
			if (m.tensor[i].data) {
				alone[i] = allocate(m.tensor[i].elements);
				m.tensor[i].data = alone[i];
			}
		}
		isolated = run(&m);
		if (memcmp(first, again, len) != 0 || memcmp(first, isolated, len) != 0) {
			abort();
		}
		for (uint32_t i = 0; i < NN_MAX_TENSORS; i++) {
			free(alone[i]);
		}
		free(first);
		free(again);
		free(isolated);
	}
	free(model);
	free(arena);
	return (int)status;
}
