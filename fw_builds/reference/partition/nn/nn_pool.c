/* SPDX-License-Identifier: Apache-2.0 */
/* AVERAGE_POOL_2D and MAX_POOL_2D. */
#include "nn_fixedpoint.h"
#include "nn_kernel.h"

enum {
	POOL_PADDING = 0,
	POOL_STRIDE_W = 1,
	POOL_STRIDE_H = 2,
	POOL_FILTER_W = 3,
	POOL_FILTER_H = 4,
	POOL_ACTIVATION = 5
};

static enum nn_status prepare(struct nn_prepare *p, struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(p->model, op, 0);
	const struct nn_tensor *output = nn_op_output(p->model, op);
	struct nn_window w = {
		.filter_h = fb_i32(p->fb, &p->options, POOL_FILTER_H, 0),
		.filter_w = fb_i32(p->fb, &p->options, POOL_FILTER_W, 0),
		.stride_h = fb_i32(p->fb, &p->options, POOL_STRIDE_H, 0),
		.stride_w = fb_i32(p->fb, &p->options, POOL_STRIDE_W, 0),
	};
	uint8_t padding = fb_u8(p->fb, &p->options, POOL_PADDING, NN_PADDING_SAME);
	uint8_t activation = fb_u8(p->fb, &p->options, POOL_ACTIVATION, 0);
	int32_t shape[4];
	enum nn_status status;

	if (input->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (input->rank != 4) {
		return NN_ERR_SHAPE;
	}
	/* Pooling does not rescale. */
	if (input->scale_count != 1 || !nn_same_quantization(input, output)) {
		return NN_ERR_QUANT;
	}
	shape[0] = input->dim[0];
	shape[3] = input->dim[3];
	status = nn_window_size(padding, input->dim[1], w.filter_h, w.stride_h, 1, &shape[1], &w.pad_h);
	if (status == NN_OK) {
		status = nn_window_size(padding, input->dim[2], w.filter_w, w.stride_w, 1, &shape[2], &w.pad_w);
	}
	if (status != NN_OK) {
		return status;
	}
	if (!nn_has_shape(output, 4, shape)) {
		return NN_ERR_SHAPE;
	}
	op->as.window = w;
	op->work = (uint64_t)output->elements * (uint64_t)((int64_t)w.filter_h * w.filter_w);
	return nn_activation_range(activation, output, &op->act_min, &op->act_max);
}

/* The part of a window that lies inside the input; padding in front is less than the filter, so never empty. */
struct patch {
	int32_t top, bottom, left, right;
};

static struct patch patch_of(const struct nn_window *w, const struct nn_tensor *input, int32_t out_y, int32_t out_x)
{
	struct patch p = { .top = out_y * w->stride_h - w->pad_h, .left = out_x * w->stride_w - w->pad_w };

	p.bottom = p.top + w->filter_h;
	p.right = p.left + w->filter_w;
	p.top = p.top < 0 ? 0 : p.top;
	p.left = p.left < 0 ? 0 : p.left;
	p.bottom = p.bottom > input->dim[1] ? input->dim[1] : p.bottom;
	p.right = p.right > input->dim[2] ? input->dim[2] : p.right;
	return p;
}

static int32_t average(const int8_t *in, int32_t row_size, int32_t depth, const struct patch *p)
{
	const int32_t count = (p->bottom - p->top) * (p->right - p->left);
	int32_t sum = 0;

	for (int32_t y = p->top; y < p->bottom; y++) {
		for (int32_t x = p->left; x < p->right; x++) {
			sum += in[y * row_size + x * depth];
		}
	}
	return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

static int32_t maximum(const int8_t *in, int32_t row_size, int32_t depth, const struct patch *p)
{
	int32_t most = INT8_MIN;

	for (int32_t y = p->top; y < p->bottom; y++) {
		for (int32_t x = p->left; x < p->right; x++) {
			if (in[y * row_size + x * depth] > most) {
				most = in[y * row_size + x * depth];
			}
		}
	}
	return most;
}

static void pool(const struct nn_model *m, const struct nn_op *op,
		 int32_t (*reduce)(const int8_t *, int32_t, int32_t, const struct patch *))
{
	const struct nn_tensor *input = nn_op_input(m, op, 0);
	const struct nn_tensor *output = nn_op_output(m, op);
	const int32_t depth = input->dim[3], row_size = input->dim[2] * depth;
	int8_t *out = output->data;

	for (int32_t batch = 0; batch < output->dim[0]; batch++) {
		const int8_t *in = nn_values(input) + batch * input->dim[1] * row_size;

		for (int32_t y = 0; y < output->dim[1]; y++) {
			for (int32_t x = 0; x < output->dim[2]; x++) {
				const struct patch p = patch_of(&op->as.window, input, y, x);

				for (int32_t c = 0; c < depth; c++) {
					*out++ =
						nn_clamp(reduce(in + c, row_size, depth, &p), op->act_min, op->act_max);
				}
			}
		}
	}
}

static void invoke_average(const struct nn_model *m, const struct nn_op *op)
{
	pool(m, op, average);
}

static void invoke_max(const struct nn_model *m, const struct nn_op *op)
{
	pool(m, op, maximum);
}

const struct nn_kernel nn_average_pool_2d = {
	.code = 1,
	.name = "AVERAGE_POOL_2D",
	.newest_version = 3,
	.options_type = 5,
	.options_needed = true,
	.inputs_min = 1,
	.inputs_max = 1,
	.prepare = prepare,
	.invoke = invoke_average,
};

const struct nn_kernel nn_max_pool_2d = {
	.code = 17,
	.name = "MAX_POOL_2D",
	.newest_version = 3,
	.options_type = 5,
	.options_needed = true,
	.inputs_min = 1,
	.inputs_max = 1,
	.prepare = prepare,
	.invoke = invoke_max,
};
