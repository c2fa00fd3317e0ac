/* SPDX-License-Identifier: Apache-2.0 */
/* SOFTMAX over the last dimension, in fixed point. */
#include "nn_fixedpoint.h"
#include "nn_kernel.h"

enum { SOFTMAX_BETA = 0 };

enum {
	DIFF_INTEGER_BITS = 5,  /* differences to the maximum are Q5.26 */
	SUM_INTEGER_BITS = 12,  /* their exponentials are added up in Q12.19 */
	MAX_DEPTH = 511,        /* from 512 equal values on, the reference's last shift passes 31 and it aborts */
};

static enum nn_status prepare(struct nn_prepare *p, struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(p->model, op, 0);
	const struct nn_tensor *output = nn_op_output(p->model, op);
	const double most = 2147483647.0;
	float beta = fb_float(p->fb, &p->options, SOFTMAX_BETA, 0.0f);
	double real;
	enum nn_status status;

	if (input->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (input->rank < 1 || !nn_same_shape(input, output) || input->dim[input->rank - 1] > MAX_DEPTH) {
		return NN_ERR_SHAPE;
	}
	/* The kernel's outputs are parts of 256 from -128 on; the reference demands the matching quantisation. */
	if (input->scale_count != 1 || output->zero_point != INT8_MIN || output->scale < 0x1p-8f ||
	    output->scale > 0x1p-8f) {
		return NN_ERR_QUANT;
	}
	if (!(beta > 0.0f && beta <= 0x1p20f)) {
		return NN_ERR_UNSUPPORTED_OP;
	}
	real = (double)beta * (double)input->scale * (double)(1 << (31 - DIFF_INTEGER_BITS));
	if (real > most) {
		real = most;
	}
	if (!(real > 1.0)) {
		return NN_ERR_QUANT;
	}
	/* Up to 2^31 - 1 is allowed here, one bit more than elsewhere; halving is exact, and undone in the shift. */
	status = nn_quantize_multiplier(real / 2, &op->as.softmax.beta);
	if (status != NN_OK) {
		return status;
	}
	op->as.softmax.beta.shift++;
	/* The smallest difference whose product still fits (CalculateInputRadius). */
	op->as.softmax.diff_min =
		-(int32_t)(((INT64_C(1) << DIFF_INTEGER_BITS) - 1) * (INT64_C(1) << (31 - DIFF_INTEGER_BITS)) >>
			   op->as.softmax.beta.shift);
	op->work = 2 * (uint64_t)input->elements;
	return NN_OK;
}

/* exp of a scaled difference to the row's maximum, Q0.31; diff_min <= diff <= 0. */
static int32_t exp_of(const struct nn_op *op, int32_t diff)
{
	int32_t shifted = nn_shift_left(diff, op->as.softmax.beta.shift);

	return nn_exp_on_negative_values(nn_high_mul(shifted, op->as.softmax.beta.multiplier));
}

static int32_t count_leading_zeros(uint32_t x)
{
	int32_t n = 0;

	while (n < 32 && (x & UINT32_C(0x80000000)) == 0) {
		x <<= 1;
		n++;
	}
	return n;
}

static void softmax_row(const struct nn_op *op, const int8_t *in, int8_t *out, int32_t depth)
{
	int32_t most = INT8_MIN, headroom, sum = 0, reciprocal;

	for (int32_t c = 0; c < depth; c++) {
		most = in[c] > most ? in[c] : most;
	}
	for (int32_t c = 0; c < depth; c++) {
		if (in[c] - most >= op->as.softmax.diff_min) {
			sum += nn_divide_by_pot(exp_of(op, in[c] - most), SUM_INTEGER_BITS);
		}
	}
	/* sum = 2^bits_over_unit * (1 + fraction); its reciprocal comes out of 1 / (1 + fraction). */
	headroom = count_leading_zeros((uint32_t)sum);
	reciprocal = nn_one_over_one_plus_x((int32_t)(((uint32_t)sum << headroom) - UINT32_C(0x80000000)));
	for (int32_t c = 0; c < depth; c++) {
		int32_t value = 0;

		if (in[c] - most >= op->as.softmax.diff_min) {
			value = nn_divide_by_pot(nn_high_mul(reciprocal, exp_of(op, in[c] - most)),
						 SUM_INTEGER_BITS - headroom + 31 - 8);
		}
		out[c] = nn_clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
	}
}

static void invoke(const struct nn_model *m, const struct nn_op *op)
{
	const struct nn_tensor *input = nn_op_input(m, op, 0);
	const struct nn_tensor *output = nn_op_output(m, op);
	const int32_t depth = input->dim[input->rank - 1];

	for (int32_t at = 0; at < (int32_t)input->elements; at += depth) {
		softmax_row(op, nn_values(input) + at, output->data + at, depth);
	}
}

const struct nn_kernel nn_softmax = {
	.code = 25,
	.name = "SOFTMAX",
	.newest_version = 3,
	.options_type = 9,
	.options_needed = true,
	.inputs_min = 1,
	.inputs_max = 1,
	.prepare = prepare,
	.invoke = invoke,
};
