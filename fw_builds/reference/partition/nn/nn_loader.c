/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A .tflite file to connected, prepared operators. Field numbers are those of TFLite's schema.fbs,
 * version 3.
 */
#include <string.h>

#include "nn_kernel.h"

enum { MODEL_VERSION = 0, MODEL_OPERATOR_CODES = 1, MODEL_SUBGRAPHS = 2, MODEL_BUFFERS = 4 };
enum { CODE_DEPRECATED_BUILTIN = 0, CODE_CUSTOM = 1, CODE_VERSION = 2, CODE_BUILTIN = 3 };
enum { SUBGRAPH_TENSORS = 0, SUBGRAPH_INPUTS = 1, SUBGRAPH_OUTPUTS = 2, SUBGRAPH_OPERATORS = 3 };
enum { OP_CODE = 0, OP_INPUTS = 1, OP_OUTPUTS = 2, OP_OPTIONS_TYPE = 3, OP_OPTIONS = 4 };

enum { SCHEMA_VERSION = 3, NO_OPTIONAL_TENSOR = -1 };

struct loader {
	struct nn_model *m;
	struct fb fb;
	struct fb_vector codes;
};

static enum nn_status find_kernel(struct loader *l, uint32_t index, const struct nn_kernel **kernel)
{
	struct fb_table code;
	int32_t deprecated, builtin, version;

	if (index >= l->codes.count) {
		return NN_ERR_FORMAT;
	}
	code = fb_table_at(&l->fb, &l->codes, index);
	/* Codes up to 127 may stand in either field; the larger one counts. */
	deprecated = (int8_t)fb_u8(&l->fb, &code, CODE_DEPRECATED_BUILTIN, 0);
	builtin = fb_i32(&l->fb, &code, CODE_BUILTIN, 0);
	version = fb_i32(&l->fb, &code, CODE_VERSION, 1);
	if (l->fb.damaged) {
		return NN_ERR_FORMAT;
	}
	if (fb_has(&l->fb, &code, CODE_CUSTOM)) {
		return NN_ERR_UNSUPPORTED_OP;
	}
	if (builtin < deprecated) {
		builtin = deprecated;
	}
	*kernel = builtin < 0 ? NULL : nn_find_kernel((uint32_t)builtin);
	if (!*kernel || version < 1 || version > (*kernel)->newest_version) {
		return NN_ERR_UNSUPPORTED_OP;
	}
	return NN_OK;
}

/* Tensors of one operator: each input a constant or already computed, the output computed only here. */
static enum nn_status connect(struct loader *l, const struct fb_table *table, struct nn_op *op, int16_t op_index)
{
	struct fb_vector inputs = fb_vector(&l->fb, table, OP_INPUTS, 4);
	struct fb_vector outputs = fb_vector(&l->fb, table, OP_OUTPUTS, 4);
	struct nn_model *m = l->m;
	int32_t index;

	if (l->fb.damaged || outputs.count != 1 || inputs.count < op->kernel->inputs_min ||
	    inputs.count > op->kernel->inputs_max) {
		return NN_ERR_FORMAT;
	}
	memset(op->input, NN_NO_TENSOR, sizeof(op->input));
	for (uint32_t i = 0; i < inputs.count; i++) {
		struct nn_tensor *t;

		index = fb_i32_at(&l->fb, &inputs, i);
		if (index == NO_OPTIONAL_TENSOR && i >= op->kernel->inputs_min) {
			continue;
		}
		if (index < 0 || (uint32_t)index >= m->tensor_count) {
			return NN_ERR_FORMAT;
		}
		t = &m->tensor[index];
		if (!t->constant && t->first_op < 0) {
			return NN_ERR_FORMAT;
		}
		/* Operands besides the first must be constant, but for ADD; `prepare` looks at that. */
		if (t->last_op < op_index) {
			t->last_op = op_index;
		}
		op->input[i] = (uint8_t)index;
	}
	index = fb_i32_at(&l->fb, &outputs, 0);
	if (index < 0 || (uint32_t)index >= m->tensor_count) {
		return NN_ERR_FORMAT;
	}
	if (m->tensor[index].constant || m->tensor[index].first_op >= 0) {
		return NN_ERR_FORMAT;
	}
	m->tensor[index].first_op = m->tensor[index].last_op = op_index;
	op->output = (uint8_t)index;
	return NN_OK;
}

static enum nn_status load_op(struct loader *l, const struct fb_table *table, struct nn_op *op, int16_t op_index)
{
	struct nn_prepare p = { .model = l->m, .fb = &l->fb };
	uint32_t code = (uint32_t)fb_i32(&l->fb, table, OP_CODE, 0);
	uint8_t type = fb_u8(&l->fb, table, OP_OPTIONS_TYPE, 0);
	enum nn_status status;

	status = l->fb.damaged ? NN_ERR_FORMAT : find_kernel(l, code, &op->kernel);
	if (status == NN_OK) {
		status = connect(l, table, op, op_index);
	}
	if (status != NN_OK) {
		return status;
	}
	if (type != 0) {
		p.options = fb_child(&l->fb, table, OP_OPTIONS);
		if (l->fb.damaged || type != op->kernel->options_type) {
			return NN_ERR_FORMAT;
		}
	}
	if (p.options.position == 0 && op->kernel->options_needed) {
		return NN_ERR_FORMAT;
	}
	status = op->kernel->prepare(&p, op);
	return l->fb.damaged ? NN_ERR_FORMAT : status;
}

static enum nn_status load_ops(struct loader *l, const struct fb_vector *tables)
{
	uint64_t work = 0;

	if (tables->count == 0) {
		return NN_ERR_FORMAT;
	}
	if (tables->count > NN_MAX_OPS) {
		return NN_ERR_ARENA;
	}
	for (uint32_t i = 0; i < tables->count; i++) {
		struct fb_table table = fb_table_at(&l->fb, tables, i);
		enum nn_status status = load_op(l, &table, &l->m->op[i], (int16_t)i);

		if (status != NN_OK) {
			return status;
		}
		work += l->m->op[i].work;
		if (work > NN_MAX_WORK) {
			return NN_ERR_ARENA;
		}
	}
	l->m->op_count = tables->count;
	return NN_OK;
}

/* The single tensor that the subgraph names as its input or output. */
static enum nn_status single_tensor(struct loader *l, const struct fb_vector *list, uint8_t *index)
{
	int32_t i;

	if (list->count != 1) {
		return NN_ERR_FORMAT;
	}
	i = fb_i32_at(&l->fb, list, 0);
	if (i < 0 || (uint32_t)i >= l->m->tensor_count || l->m->tensor[i].constant) {
		return NN_ERR_FORMAT;
	}
	*index = (uint8_t)i;
	return NN_OK;
}

enum nn_status nn_load(struct nn_model *m, const uint8_t *bytes, uint32_t size)
{
	struct loader l = { .m = m, .fb = { .bytes = bytes, .size = size } };
	struct fb_table model = fb_root(&l.fb, "TFL3");
	struct fb_vector subgraphs = fb_vector(&l.fb, &model, MODEL_SUBGRAPHS, 4);
	struct fb_vector buffers, tensors, ops, inputs, outputs;
	struct fb_table subgraph;
	enum nn_status status;

	l.codes = fb_vector(&l.fb, &model, MODEL_OPERATOR_CODES, 4);
	buffers = fb_vector(&l.fb, &model, MODEL_BUFFERS, 4);
	if (fb_i32(&l.fb, &model, MODEL_VERSION, 0) != SCHEMA_VERSION || l.fb.damaged || subgraphs.count != 1) {
		return NN_ERR_FORMAT;
	}
	subgraph = fb_table_at(&l.fb, &subgraphs, 0);
	tensors = fb_vector(&l.fb, &subgraph, SUBGRAPH_TENSORS, 4);
	inputs = fb_vector(&l.fb, &subgraph, SUBGRAPH_INPUTS, 4);
	outputs = fb_vector(&l.fb, &subgraph, SUBGRAPH_OUTPUTS, 4);
	ops = fb_vector(&l.fb, &subgraph, SUBGRAPH_OPERATORS, 4);
	if (l.fb.damaged) {
		return NN_ERR_FORMAT;
	}

	status = nn_load_tensors(m, &l.fb, &tensors, &buffers);
	if (status == NN_OK) {
		status = single_tensor(&l, &inputs, &m->input);
	}
	if (status != NN_OK) {
		return status;
	}
	m->tensor[m->input].first_op = 0;
	status = load_ops(&l, &ops);
	if (status == NN_OK) {
		status = single_tensor(&l, &outputs, &m->output);
	}
	if (status != NN_OK) {
		return status;
	}
	if (m->output == m->input || m->tensor[m->output].first_op < 0) {
		return NN_ERR_FORMAT;
	}
	/* Input and output live through the whole inference: it can be repeated, and read afterwards. */
	m->tensor[m->input].last_op = (int16_t)(m->op_count - 1);
	m->tensor[m->output].first_op = 0;
	m->tensor[m->output].last_op = (int16_t)(m->op_count - 1);
	return NN_OK;
}
