/* SPDX-License-Identifier: Apache-2.0 */
/* Arena offsets for activations: greedy by size, as TFLite's and TFLM's planners do. */
#include "nn_kernel.h"

enum { ALIGNMENT = 8 };

static uint32_t padded_size(const struct nn_tensor *t)
{
	return (t->elements + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool live_together(const struct nn_tensor *a, const struct nn_tensor *b)
{
	return a->first_op <= b->last_op && b->first_op <= a->last_op;
}

static bool is_activation(const struct nn_tensor *t)
{
	return !t->constant && t->first_op >= 0;
}

/* The lowest offset where `t` meets none of the tensors that are placed and live with it. */
static uint32_t lowest_gap(const struct nn_model *m, const struct nn_tensor *t, const bool *placed)
{
	uint32_t offset = 0;
	bool moved = true;

	while (moved) {
		moved = false;
		for (uint32_t i = 0; i < m->tensor_count; i++) {
			const struct nn_tensor *other = &m->tensor[i];

			if (placed[i] && live_together(t, other) && offset < other->offset + padded_size(other) &&
			    other->offset < offset + padded_size(t)) {
				offset = other->offset + padded_size(other); /* rises each time: this ends */
				moved = true;
			}
		}
	}
	return offset;
}

enum nn_status nn_plan(struct nn_model *m)
{
	bool placed[NN_MAX_TENSORS] = { false };

	for (;;) {
		struct nn_tensor *next = NULL;
		uint32_t index = 0;

		for (uint32_t i = 0; i < m->tensor_count; i++) {
			struct nn_tensor *t = &m->tensor[i];

			if (is_activation(t) && !placed[i] && (!next || t->elements > next->elements)) {
				next = t;
				index = i;
			}
		}
		if (!next) {
			return NN_OK;
		}
		/* At most 128 tensors of 2^20 bytes: the sums fit uint32. */
		next->offset = lowest_gap(m, next, placed);
		if (next->offset + padded_size(next) > m->arena_size) {
			return NN_ERR_ARENA;
		}
		next->data = (int8_t *)(m->arena + next->offset);
		placed[index] = true;
		if (m->arena_planned < next->offset + padded_size(next)) {
			m->arena_planned = next->offset + padded_size(next);
		}
	}
}
