/* SPDX-License-Identifier: Apache-2.0 */
/* FULLY_CONNECTED: int8 activations, int8 weights per tensor or per channel, int32 biases. */
#include <string.h>

#include "nn_fixedpoint.h"
#include "nn_kernel.h"

enum { FC_ACTIVATION = 0, FC_WEIGHTS_FORMAT = 1, FC_KEEP_NUM_DIMS = 2 };

/*
 * The reference takes input scale * filter scale for the bias's scale and refuses a model where the
 * two differ by more than 2 % of an output step. With a scale a channel it takes 0 for either's.
 */
static bool bias_scale_fits(const struct nn_tensor *bias, double product_scale, double output_scale)
{
	double difference;

	if (!bias || bias->scale_count == 0) {
		return true;
	}
	if (bias->scale_count != 1) {
		return false;
	}
	difference = product_scale - (double)bias->scale;
	if (difference < 0) {
		difference = -difference;
	}
	return difference / output_scale <= 0.02;
}

static enum nn_status prepare_per_tensor(struct nn_op *op, const struct nn_tensor *input,
					 const struct nn_tensor *filter, const struct nn_tensor *bias,
					 const struct nn_tensor *output)
{
	/* The reference multiplies the two scales as floats and divides as doubles. */
	double product_scale = (double)(float)(input->scale * filter->scale);

	if (!bias_scale_fits(bias, product_scale, (double)output->scale)) {
		return NN_ERR_QUANT;
	}
	return nn_quantize_multiplier(product_scale / (double)output->scale, &op->as.rescale);
}

static enum nn_status prepare_per_channel(struct nn_model *m, struct nn_op *op, const struct nn_tensor *filter,
					  const struct nn_tensor *bias, const struct nn_tensor *output)
{
	int32_t units = filter->dim[0];

	/* The reference's kernel takes the first two dimensions for rows and units, and leaves the rest unwritten. */
	if (output->rank != 2) {
		return NN_ERR_UNSUPPORTED_OP;
	}
	/* The reference takes such weights as symmetric and ignores their zero point. */
	if (filter->scale_count != (uint32_t)units || filter->quantized_dimension != 0 || filter->zero_point != 0) {
		return NN_ERR_QUANT;
	}
	if (bias && bias->scale_count != (uint32_t)units && !bias_scale_fits(bias, 0, (double)output->scale)) {
		return NN_ERR_QUANT;
	}
	return nn_prepare_requant(m, op, units);
}

static enum nn_status prepare(struct nn_prepare *p, struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(p->model, op, 0);
	const struct nn_tensor *filter = nn_op_input(p->model, op, 1);
	const struct nn_tensor *bias = nn_op_input(p->model, op, 2);
	const struct nn_tensor *output = nn_op_output(p->model, op);
	uint8_t activation = fb_u8(p->fb, &p->options, FC_ACTIVATION, 0);
	bool keep_num_dims = fb_u8(p->fb, &p->options, FC_KEEP_NUM_DIMS, 0) != 0;
	int32_t shape[NN_MAX_RANK] = { 0 };
	uint32_t rank = 2;
	int32_t units, depth;
	enum nn_status status;

	if (fb_u8(p->fb, &p->options, FC_WEIGHTS_FORMAT, 0) != 0) {
		return NN_ERR_UNSUPPORTED_OP;
	}
	if (input->type != NN_TYPE_INT8 || filter->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (!filter->constant || (bias && !bias->constant)) {
		return NN_ERR_FORMAT;
	}
	if (filter->rank != 2 || input->rank < 1) {
		return NN_ERR_SHAPE;
	}
	units = filter->dim[0];
	depth = filter->dim[1];
	if (input->elements % (uint32_t)depth != 0) {
		return NN_ERR_SHAPE;
	}
	shape[0] = (int32_t)(input->elements / (uint32_t)depth);
	if (keep_num_dims) {
		rank = input->rank;
		memcpy(shape, input->dim, sizeof(shape));
		if (shape[rank - 1] != depth) {
			return NN_ERR_SHAPE;
		}
	}
	shape[rank - 1] = units;
	if (!nn_has_shape(output, rank, shape)) {
		return NN_ERR_SHAPE;
	}
	status = nn_check_bias(bias, units);
	if (status != NN_OK) {
		return status;
	}
	if (input->scale_count != 1) {
		return NN_ERR_QUANT;
	}
	status = nn_activation_range(activation, output, &op->act_min, &op->act_max);
	if (status == NN_OK) {
		status = filter->scale_count == 1 ? prepare_per_tensor(op, input, filter, bias, output)
						  : prepare_per_channel(p->model, op, filter, bias, output);
	}
	op->work = (uint64_t)output->elements * (uint32_t)depth;
	return status;
}

static void invoke(const struct nn_model *m, const struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(m, op, 0);
	const struct nn_tensor *filter = nn_op_input(m, op, 1);
	const struct nn_tensor *bias = nn_op_input(m, op, 2);
	const struct nn_tensor *output = nn_op_output(m, op);
	const int32_t units = filter->dim[0], depth = filter->dim[1];
	const int32_t rows = (int32_t)output->elements / units;
	int8_t *out = output->data;

	for (int32_t row = 0; row < rows; row++) {
		const int8_t *in = nn_values(input) + row * depth;

		for (int32_t unit = 0; unit < units; unit++) {
			const int8_t *weights = nn_values(filter) + unit * depth;
			uint32_t acc = bias ? fb_load_u32(bias->constant + 4 * unit) : 0; /* wraps on overflow */

			for (int32_t i = 0; i < depth; i++) {
				acc += (uint32_t)((in[i] - input->zero_point) * (weights[i] - filter->zero_point));
			}
			*out++ = nn_requantize((int32_t)acc,
					       op->requant ? nn_load_requant(op->requant, (uint32_t)unit)
							   : op->as.rescale,
					       output->zero_point, op->act_min, op->act_max);
		}
	}
}

const struct nn_kernel nn_fully_connected = {
	.code = 9,
	.name = "FULLY_CONNECTED",
	.newest_version = 9,
	.options_type = 8,
	.options_needed = true,
	.inputs_min = 2,
	.inputs_max = 3,
	.prepare = prepare,
	.invoke = invoke,
};
