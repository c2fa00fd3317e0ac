/* SPDX-License-Identifier: Apache-2.0 */
#include "nn.h"

#include <string.h>

#include "nn_kernel.h"

enum nn_status nn_model_init(struct nn_model *m, const uint8_t *flatbuffer, size_t len, uint8_t *arena,
			     size_t arena_len)
{
	enum nn_status status;

	if (!m) {
		return NN_ERR_ARG;
	}
	memset(m, 0, sizeof(*m));
	if (!flatbuffer || !arena) {
		return NN_ERR_ARG;
	}
	if (len > INT32_MAX) {
		return NN_ERR_FORMAT;
	}
	m->arena = arena;
	m->arena_size = arena_len > INT32_MAX ? (uint32_t)INT32_MAX : (uint32_t)arena_len;
	arena_len = m->arena_size;
	status = nn_load(m, flatbuffer, (uint32_t)len);
	if (status == NN_OK) {
		status = nn_plan(m);
	}
	if (status != NN_OK) {
		memset(m, 0, sizeof(*m));
		return status;
	}
	m->arena_used = m->arena_planned + ((uint32_t)arena_len - m->arena_size);
	memset(m->arena, 0, m->arena_planned);
	m->ready = true;
	return NN_OK;
}

enum nn_status nn_model_invoke(struct nn_model *m)
{
	if (!m || !m->ready) {
		return NN_ERR_ARG;
	}
	for (uint32_t i = 0; i < m->op_count; i++) {
		const struct nn_op *op = &m->op[i];

		op->kernel->invoke(m, op);
		if (m->observer) {
			const struct nn_tensor *out = nn_op_output(m, op);

			m->observer(m->observer_ctx, i, op->kernel->code, out->data, out->elements);
		}
	}
	return NN_OK;
}

int8_t *nn_input(struct nn_model *m, size_t *len)
{
	bool ready = m && m->ready;

	if (len) {
		*len = ready ? m->tensor[m->input].elements : 0;
	}
	return ready ? m->tensor[m->input].data : NULL;
}

const int8_t *nn_output(const struct nn_model *m, size_t *len)
{
	bool ready = m && m->ready;

	if (len) {
		*len = ready ? m->tensor[m->output].elements : 0;
	}
	return ready ? m->tensor[m->output].data : NULL;
}

static bool tensor_info(const struct nn_model *m, bool output, struct nn_tensor_info *info)
{
	const struct nn_tensor *t;

	if (!m || !m->ready || !info) {
		return false;
	}
	t = &m->tensor[output ? m->output : m->input];
	info->scale = t->scale;
	info->zero_point = t->zero_point;
	info->rank = t->rank;
	memcpy(info->shape, t->dim, sizeof(info->shape));
	return true;
}

bool nn_input_info(const struct nn_model *m, struct nn_tensor_info *info)
{
	return tensor_info(m, false, info);
}

bool nn_output_info(const struct nn_model *m, struct nn_tensor_info *info)
{
	return tensor_info(m, true, info);
}

uint32_t nn_op_count(const struct nn_model *m)
{
	return m && m->ready ? m->op_count : 0;
}

uint32_t nn_op_code(const struct nn_model *m, uint32_t op_index)
{
	return op_index < nn_op_count(m) ? m->op[op_index].kernel->code : UINT32_MAX;
}

const char *nn_op_name(uint32_t builtin_code)
{
	const struct nn_kernel *kernel = nn_find_kernel(builtin_code);

	return kernel ? kernel->name : "UNKNOWN";
}

size_t nn_arena_used(const struct nn_model *m)
{
	return m && m->ready ? m->arena_used : 0;
}

void nn_set_observer(struct nn_model *m, nn_observer *observer, void *ctx)
{
	if (!m) {
		return;
	}
	m->observer = observer;
	m->observer_ctx = ctx;
}

const char *nn_status_text(enum nn_status status)
{
	switch (status) {
	case NN_OK:
		return "ok";
	case NN_ERR_FORMAT:
		return "not a well-formed .tflite model with one subgraph, one input and one output";
	case NN_ERR_UNSUPPORTED_OP:
		return "operator or operator option not supported";
	case NN_ERR_UNSUPPORTED_TYPE:
		return "tensor not supported: int8 is required, neither variable nor sparse";
	case NN_ERR_SHAPE:
		return "tensor shapes do not fit together or are too large";
	case NN_ERR_QUANT:
		return "quantisation parameters missing or out of range";
	case NN_ERR_ARENA:
		return "model needs more work memory, tensors, operators or work than there is";
	case NN_ERR_ARG:
		return "null pointer or model not initialised";
	}
	return "unknown status";
}
