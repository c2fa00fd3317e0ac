/* SPDX-License-Identifier: Apache-2.0 */
/* MEAN over any set of dimensions. */
#include "nn_fixedpoint.h"
#include "nn_kernel.h"

enum { REDUCER_KEEP_DIMS = 0 };

static enum nn_status read_axes(const struct nn_tensor *axes, uint32_t rank, uint32_t *mask)
{
	if (axes->type != NN_TYPE_INT32) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (axes->rank > 1) {
		return NN_ERR_SHAPE;
	}
	*mask = 0;
	for (uint32_t i = 0; i < axes->elements; i++) {
		int32_t axis = fb_load_i32(axes->constant + 4 * i);

		if (axis < -(int32_t)rank || axis >= (int32_t)rank) {
			return NN_ERR_SHAPE;
		}
		*mask |= 1u << (axis < 0 ? axis + (int32_t)rank : axis);
	}
	return NN_OK;
}

/* 2^result <= n < 2^(result + 1), n > 0 */
static int32_t floor_log2(uint32_t n)
{
	int32_t result = 0;

	while (n >>= 1) {
		result++;
	}
	return result;
}

/* Fold 1 / count into the multiplier, the way the reference does it. */
static void divide_multiplier(struct nn_requant *q, uint32_t count)
{
	int32_t shift = floor_log2(count);

	if (shift > 31 + q->shift) {
		shift = 31 + q->shift;
	}
	q->multiplier = (int32_t)(((int64_t)q->multiplier << shift) / count);
	q->shift -= shift;
}

static enum nn_status prepare(struct nn_prepare *p, struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(p->model, op, 0);
	const struct nn_tensor *axes = nn_op_input(p->model, op, 1);
	const struct nn_tensor *output = nn_op_output(p->model, op);
	bool keep_dims = fb_u8(p->fb, &p->options, REDUCER_KEEP_DIMS, 0) != 0;
	int32_t shape[NN_MAX_RANK] = { 0 };
	uint32_t mask, rank = 0, count = 1;
	enum nn_status status;

	if (input->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (!axes->constant) {
		return NN_ERR_FORMAT;
	}
	if (input->scale_count != 1) {
		return NN_ERR_QUANT;
	}
	status = read_axes(axes, input->rank, &mask);
	if (status != NN_OK) {
		return status;
	}
	for (uint32_t i = 0; i < input->rank; i++) {
		bool reduced = (mask >> i & 1) != 0;

		if (reduced) {
			count *= (uint32_t)input->dim[i];
		}
		if (!reduced || keep_dims) {
			shape[rank++] = reduced ? 1 : input->dim[i];
		}
	}
	if (!nn_has_shape(output, rank, shape)) {
		return NN_ERR_SHAPE;
	}
	status = nn_quantize_multiplier((double)input->scale / (double)output->scale, &op->as.mean.rescale);
	if (status != NN_OK) {
		return status;
	}
	divide_multiplier(&op->as.mean.rescale, count);
	op->as.mean.axes = mask;
	op->work = input->elements;
	return NN_OK;
}

/* Extents and strides of the dimensions that are summed over, or of those that stay. */
static void select_dimensions(const struct nn_tensor *input, uint32_t mask, bool reduced, int32_t *extent,
			      int32_t *stride)
{
	int32_t step = 1;

	for (uint32_t i = NN_MAX_RANK; i-- > 0;) {
		bool taken = i < input->rank && ((mask >> i & 1) != 0) == reduced;

		extent[i] = taken ? input->dim[i] : 1;
		stride[i] = step;
		if (i < input->rank) {
			step *= input->dim[i];
		}
	}
}

static int32_t sum_over(const int8_t *in, const int32_t *extent, const int32_t *stride)
{
	int32_t sum = 0; /* at most 2^20 int8 values */

	for (int32_t n = 0; n < extent[0]; n++) {
		for (int32_t y = 0; y < extent[1]; y++) {
			for (int32_t x = 0; x < extent[2]; x++) {
				for (int32_t c = 0; c < extent[3]; c++) {
					sum += in[n * stride[0] + y * stride[1] + x * stride[2] + c * stride[3]];
				}
			}
		}
	}
	return sum;
}

static void invoke(const struct nn_model *m, const struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(m, op, 0);
	const struct nn_tensor *output = nn_op_output(m, op);
	const int32_t count = (int32_t)(input->elements / output->elements);
	int32_t extent[NN_MAX_RANK], stride[NN_MAX_RANK], inner_extent[NN_MAX_RANK], inner_stride[NN_MAX_RANK];
	int8_t *out = output->data;

	select_dimensions(input, op->as.mean.axes, false, extent, stride);
	select_dimensions(input, op->as.mean.axes, true, inner_extent, inner_stride);
	for (int32_t n = 0; n < extent[0]; n++) {
		for (int32_t y = 0; y < extent[1]; y++) {
			for (int32_t x = 0; x < extent[2]; x++) {
				for (int32_t c = 0; c < extent[3]; c++) {
					const int8_t *in = nn_values(input) + n * stride[0] + y * stride[1] +
							   x * stride[2] + c * stride[3];
					int32_t sum =
						sum_over(in, inner_extent, inner_stride) - input->zero_point * count;

					*out++ = nn_requantize(sum, op->as.mean.rescale, output->zero_point, INT8_MIN,
							       INT8_MAX);
				}
			}
		}
	}
}

const struct nn_kernel nn_mean = {
	.code = 40,
	.name = "MEAN",
	.newest_version = 3,
	.options_type = 27,
	.options_needed = true,
	.inputs_min = 2,
	.inputs_max = 2,
	.prepare = prepare,
	.invoke = invoke,
};
