/* SPDX-License-Identifier: Apache-2.0 */
/* RESHAPE and PAD: values move, none changes. */
#include <string.h>

#include "nn_kernel.h"

static enum nn_status check_moved(const struct nn_tensor *input, const struct nn_tensor *output)
{
	if (input->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	return input->scale_count == 1 && nn_same_quantization(input, output) ? NN_OK : NN_ERR_QUANT;
}

/* The shape operand, where there is one, must say what the output's shape says; -1 stands for any. */
static enum nn_status check_new_shape(const struct nn_tensor *wanted, const struct nn_tensor *output)
{
	if (wanted->type != NN_TYPE_INT32) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (!wanted->constant) {
		return NN_ERR_FORMAT;
	}
	if (wanted->rank != 1 || wanted->elements != output->rank) {
		return NN_ERR_SHAPE;
	}
	for (uint32_t i = 0; i < output->rank; i++) {
		int32_t dim = fb_load_i32(wanted->constant + 4 * i);

		if (dim != output->dim[i] && dim != -1) {
			return NN_ERR_SHAPE;
		}
	}
	return NN_OK;
}

static enum nn_status prepare_reshape(struct nn_prepare *p, struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(p->model, op, 0);
	const struct nn_tensor *wanted = nn_op_input(p->model, op, 1);
	const struct nn_tensor *output = nn_op_output(p->model, op);
	enum nn_status status = check_moved(input, output);

	if (status == NN_OK && input->elements != output->elements) {
		status = NN_ERR_SHAPE;
	}
	if (status == NN_OK && wanted) {
		status = check_new_shape(wanted, output);
	}
	op->work = output->elements;
	return status;
}

static void invoke_reshape(const struct nn_model *m, const struct nn_op *op)
{
	const struct nn_tensor *output = nn_op_output(m, op);

	memcpy(output->data, nn_values(nn_op_input(m, op, 0)), output->elements);
}

static enum nn_status prepare_pad(struct nn_prepare *p, struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(p->model, op, 0);
	const struct nn_tensor *paddings = nn_op_input(p->model, op, 1);
	const struct nn_tensor *output = nn_op_output(p->model, op);
	int32_t expected[2] = { (int32_t)input->rank, 2 };
	enum nn_status status = check_moved(input, output);

	if (status != NN_OK) {
		return status;
	}
	if (paddings->type != NN_TYPE_INT32) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (!paddings->constant) {
		return NN_ERR_FORMAT;
	}
	if (!nn_has_shape(paddings, 2, expected) || output->rank != input->rank) {
		return NN_ERR_SHAPE;
	}
	for (uint32_t i = 0; i < input->rank; i++) {
		int32_t before = fb_load_i32(paddings->constant + 8 * i);
		int32_t after = fb_load_i32(paddings->constant + 8 * i + 4);

		if (before < 0 || after < 0 || before > NN_MAX_ELEMENTS || after > NN_MAX_ELEMENTS ||
		    before + input->dim[i] + after != output->dim[i]) {
			return NN_ERR_SHAPE;
		}
		op->as.pad.before[NN_MAX_RANK - input->rank + i] = before;
	}
	op->work = output->elements;
	return NN_OK;
}

static void invoke_pad(const struct nn_model *m, const struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(m, op, 0);
	const struct nn_tensor *output = nn_op_output(m, op);
	const int32_t *before = op->as.pad.before;
	const int8_t *in = nn_values(input);
	int32_t from[NN_MAX_RANK], to[NN_MAX_RANK];

	for (uint32_t i = 0, missing = NN_MAX_RANK - input->rank; i < NN_MAX_RANK; i++) {
		from[i] = i < missing ? 1 : input->dim[i - missing];
		to[i] = i < missing ? 1 : output->dim[i - missing];
	}
	memset(output->data, output->zero_point, output->elements);
	for (int32_t n = 0; n < from[0]; n++) {
		for (int32_t y = 0; y < from[1]; y++) {
			for (int32_t x = 0; x < from[2]; x++) {
				int32_t row = ((n + before[0]) * to[1] + y + before[1]) * to[2] + x + before[2];

				memcpy(output->data + row * to[3] + before[3], in, (size_t)from[3]);
				in += from[3];
			}
		}
	}
}

const struct nn_kernel nn_reshape = {
	.code = 22,
	.name = "RESHAPE",
	.newest_version = 1,
	.options_type = 17,
	.options_needed = false,
	.inputs_min = 1,
	.inputs_max = 2,
	.prepare = prepare_reshape,
	.invoke = invoke_reshape,
};

const struct nn_kernel nn_pad = {
	.code = 34,
	.name = "PAD",
	.newest_version = 4,
	.options_type = 22,
	.options_needed = false,
	.inputs_min = 2,
	.inputs_max = 2,
	.prepare = prepare_pad,
	.invoke = invoke_pad,
};
