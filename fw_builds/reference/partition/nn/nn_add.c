/* SPDX-License-Identifier: Apache-2.0 */
/* ADD, with broadcasting. */
#include "nn_fixedpoint.h"
#include "nn_kernel.h"

enum { ADD_ACTIVATION = 0 };
enum { HEADROOM = 20 }; /* left shift of both operands before they are rescaled, as in the reference */

/* Dimension i of four, counted from the left, of a tensor whose missing leading dimensions are 1. */
static int32_t dimension(const struct nn_tensor *t, uint32_t i)
{
	uint32_t missing = NN_MAX_RANK - t->rank;

	return i < missing ? 1 : t->dim[i - missing];
}

static enum nn_status prepare_broadcast(struct nn_op *op, const struct nn_tensor *const in[2],
					const struct nn_tensor *output)
{
	int32_t step[2] = { 1, 1 };

	if (output->rank != (in[0]->rank > in[1]->rank ? in[0]->rank : in[1]->rank)) {
		return NN_ERR_SHAPE;
	}
	for (uint32_t i = NN_MAX_RANK; i-- > 0;) {
		int32_t d[2] = { dimension(in[0], i), dimension(in[1], i) };

		if (d[0] != d[1] && d[0] != 1 && d[1] != 1) {
			return NN_ERR_SHAPE;
		}
		if (dimension(output, i) != (d[0] > d[1] ? d[0] : d[1])) {
			return NN_ERR_SHAPE;
		}
		for (unsigned k = 0; k < 2; k++) {
			op->as.add.stride[k][i] = d[k] == 1 ? 0 : step[k];
			step[k] *= d[k];
		}
	}
	return NN_OK;
}

/* A multiplier that must lie in (0, 1), as the reference demands here. */
static enum nn_status quantize_below_one(double real, struct nn_requant *q)
{
	if (!(real > 0.0 && real < 1.0)) {
		return NN_ERR_QUANT;
	}
	if (nn_quantize_multiplier(real, q) != NN_OK || q->shift > 0) {
		return NN_ERR_QUANT;
	}
	return NN_OK;
}

static enum nn_status prepare(struct nn_prepare *p, struct nn_op *op)
{
	const struct nn_tensor *const in[2] = { nn_op_input(p->model, op, 0), nn_op_input(p->model, op, 1) };
	const struct nn_tensor *output = nn_op_output(p->model, op);
	uint8_t activation = fb_u8(p->fb, &p->options, ADD_ACTIVATION, 0);
	double twice_max;
	enum nn_status status;

	if (in[0]->type != NN_TYPE_INT8 || in[1]->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (in[0]->scale_count != 1 || in[1]->scale_count != 1) {
		return NN_ERR_QUANT;
	}
	status = prepare_broadcast(op, in, output);
	if (status != NN_OK) {
		return status;
	}
	twice_max = 2.0 * (double)(in[0]->scale > in[1]->scale ? in[0]->scale : in[1]->scale);
	for (unsigned k = 0; k < 2 && status == NN_OK; k++) {
		status = quantize_below_one((double)in[k]->scale / twice_max, &op->as.add.input[k]);
	}
	if (status == NN_OK) {
		status = quantize_below_one(twice_max / ((double)(1 << HEADROOM) * (double)output->scale),
					    &op->as.add.output);
	}
	if (status == NN_OK) {
		status = nn_activation_range(activation, output, &op->act_min, &op->act_max);
	}
	op->work = output->elements;
	return status;
}

static int8_t add(const struct nn_op *op, int32_t a, int32_t b, int32_t zero_point)
{
	int32_t sum = nn_multiply(a * (1 << HEADROOM), op->as.add.input[0]) +
		      nn_multiply(b * (1 << HEADROOM), op->as.add.input[1]);

	return nn_clamp(nn_multiply(sum, op->as.add.output) + zero_point, op->act_min, op->act_max);
}

static void invoke(const struct nn_model *m, const struct nn_op *op)
{
	const struct nn_tensor *a = nn_op_input(m, op, 0), *b = nn_op_input(m, op, 1);
	const struct nn_tensor *output = nn_op_output(m, op);
	const int32_t *sa = op->as.add.stride[0], *sb = op->as.add.stride[1];
	int32_t d[NN_MAX_RANK];
	int8_t *out = output->data;

	for (uint32_t i = 0; i < NN_MAX_RANK; i++) {
		d[i] = dimension(output, i);
	}
	for (int32_t n = 0; n < d[0]; n++) {
		for (int32_t y = 0; y < d[1]; y++) {
			for (int32_t x = 0; x < d[2]; x++) {
				const int8_t *va = nn_values(a) + n * sa[0] + y * sa[1] + x * sa[2];
				const int8_t *vb = nn_values(b) + n * sb[0] + y * sb[1] + x * sb[2];

				for (int32_t c = 0; c < d[3]; c++) {
					*out++ = add(op, va[c * sa[3]] - a->zero_point, vb[c * sb[3]] - b->zero_point,
						     output->zero_point);
				}
			}
		}
	}
}

const struct nn_kernel nn_add = {
	.code = 0,
	.name = "ADD",
	.newest_version = 5,
	.options_type = 11,
	.options_needed = true,
	.inputs_min = 2,
	.inputs_max = 2,
	.prepare = prepare,
	.invoke = invoke,
};
