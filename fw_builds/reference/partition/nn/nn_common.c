/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "nn_fixedpoint.h"
#include "nn_kernel.h"

const struct nn_kernel *nn_find_kernel(uint32_t code)
{
	static const struct nn_kernel *const kernels[] = {
		&nn_add,
		&nn_average_pool_2d,
		&nn_conv_2d,
		&nn_depthwise_conv_2d,
		&nn_fully_connected,
		&nn_max_pool_2d,
		&nn_mean,
		&nn_pad,
		&nn_reshape,
		&nn_softmax,
	};

	for (unsigned i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		if (kernels[i]->code == code) {
			return kernels[i];
		}
	}
	return NULL;
}

const struct nn_tensor *nn_op_input(const struct nn_model *m, const struct nn_op *op, unsigned i)
{
	return op->input[i] == NN_NO_TENSOR ? NULL : &m->tensor[op->input[i]];
}

const struct nn_tensor *nn_op_output(const struct nn_model *m, const struct nn_op *op)
{
	return &m->tensor[op->output];
}

bool nn_has_shape(const struct nn_tensor *t, uint32_t rank, const int32_t *dim)
{
	return t->rank == rank && memcmp(t->dim, dim, rank * sizeof(dim[0])) == 0;
}

bool nn_same_shape(const struct nn_tensor *a, const struct nn_tensor *b)
{
	return nn_has_shape(a, b->rank, b->dim);
}

bool nn_same_quantization(const struct nn_tensor *a, const struct nn_tensor *b)
{
	return memcmp(&a->scale, &b->scale, sizeof(a->scale)) == 0 && a->zero_point == b->zero_point;
}

enum nn_status nn_check_bias(const struct nn_tensor *bias, int32_t channels)
{
	if (!bias) {
		return NN_OK;
	}
	if (bias->type != NN_TYPE_INT32) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (bias->elements != (uint32_t)channels) {
		return NN_ERR_SHAPE;
	}
	return bias->zero_point == 0 ? NN_OK : NN_ERR_QUANT;
}

enum nn_status nn_window_size(uint8_t padding, int32_t in, int32_t filter, int32_t stride, int32_t dilation,
			      int32_t *out, int32_t *before)
{
	const int32_t limit = 4096; /* of strides, filters and dilations, against overflow */
	int32_t reach, missing;

	if (filter < 1 || stride < 1 || dilation < 1 || filter > limit || stride > limit || dilation > limit) {
		return NN_ERR_SHAPE;
	}
	reach = (filter - 1) * dilation + 1;
	if (padding == NN_PADDING_SAME) {
		*out = (in + stride - 1) / stride;
	} else if (padding == NN_PADDING_VALID) {
		*out = in >= reach ? (in - reach) / stride + 1 : 0;
	} else {
		return NN_ERR_UNSUPPORTED_OP;
	}
	if (*out < 1) {
		return NN_ERR_SHAPE;
	}
	missing = (*out - 1) * stride + reach - in;
	*before = missing > 0 ? missing / 2 : 0;
	return NN_OK;
}

/* Room for `count` multipliers at the arena's end. */
static uint8_t *reserve_requant(struct nn_model *m, uint32_t count)
{
	uint64_t need = (uint64_t)count * sizeof(struct nn_requant);

	if (need > m->arena_size) {
		return NULL;
	}
	m->arena_size -= (uint32_t)need;
	return m->arena + m->arena_size;
}

static void store_requant(uint8_t *table, uint32_t i, struct nn_requant q)
{
	memcpy(table + i * sizeof(q), &q, sizeof(q));
}

struct nn_requant nn_load_requant(const uint8_t *table, uint32_t i)
{
	struct nn_requant q;

	memcpy(&q, table + i * sizeof(q), sizeof(q));
	return q;
}

/* In double, as the reference does. */
enum nn_status nn_prepare_requant(struct nn_model *m, struct nn_op *op, int32_t channels)
{
	const struct nn_tensor *input = nn_op_input(m, op, 0), *weights = nn_op_input(m, op, 1);
	const struct nn_tensor *output = nn_op_output(m, op);
	uint8_t *table = reserve_requant(m, (uint32_t)channels);

	if (!table) {
		return NN_ERR_ARENA;
	}
	for (uint32_t i = 0; i < (uint32_t)channels; i++) {
		double scale = (double)fb_load_float(weights->scales + (weights->scale_count == 1 ? 0 : 4 * i));
		double real = (double)input->scale * scale / (double)output->scale;
		struct nn_requant q;
		enum nn_status status = nn_quantize_multiplier(real, &q);

		if (status != NN_OK) {
			return status;
		}
		store_requant(table, i, q);
	}
	op->requant = table;
	return NN_OK;
}
