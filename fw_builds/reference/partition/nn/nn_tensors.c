/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a .tflite file. Field numbers are those of TFLite's schema.fbs, version 3. */
#include "nn_kernel.h"

enum {
	TENSOR_SHAPE = 0,
	TENSOR_TYPE = 1,
	TENSOR_BUFFER = 2,
	TENSOR_QUANTIZATION = 4,
	TENSOR_VARIABLE = 5,
	TENSOR_SPARSITY = 6
};
enum { QUANT_SCALE = 2, QUANT_ZERO_POINT = 3, QUANT_DETAILS_TYPE = 4, QUANT_DIMENSION = 6 };
enum { BUFFER_DATA = 0, BUFFER_OFFSET = 1, BUFFER_SIZE = 2 };

enum { EMPTY_BUFFER = 0 };

/*
 * The scales in use lie around 2^-20 .. 2^4. The limits leave room and keep every product and quotient of
 * them a normal float, so that no platform's treatment of subnormals can matter.
 */
static bool sane_scale(float scale)
{
	return scale >= 0x1p-60f && scale <= 0x1p60f;
}

static enum nn_status load_quantization(struct fb *fb, const struct fb_table *table, struct nn_tensor *t)
{
	struct fb_table q = fb_child(fb, table, TENSOR_QUANTIZATION);
	struct fb_vector scales, zero_points;

	if (q.position == 0) {
		return NN_OK;
	}
	if (fb_u8(fb, &q, QUANT_DETAILS_TYPE, 0) != 0) {
		return NN_ERR_QUANT;
	}
	scales = fb_vector(fb, &q, QUANT_SCALE, 4);
	zero_points = fb_vector(fb, &q, QUANT_ZERO_POINT, 8);
	t->quantized_dimension = fb_i32(fb, &q, QUANT_DIMENSION, 0);
	if (fb->damaged) {
		return NN_ERR_FORMAT;
	}
	if (scales.count == 0) {
		return zero_points.count == 0 ? NN_OK : NN_ERR_QUANT;
	}
	if (zero_points.count != scales.count) {
		return NN_ERR_QUANT;
	}
	if (t->quantized_dimension < 0 || t->quantized_dimension >= (int32_t)(t->rank ? t->rank : 1)) {
		return NN_ERR_QUANT;
	}
	t->scales = fb->bytes + scales.position;
	t->scale_count = scales.count;
	t->scale = fb_load_float(t->scales);
	for (uint32_t i = 0; i < scales.count; i++) {
		const uint8_t *p = fb->bytes + zero_points.position + 8 * i;
		int32_t low = fb_load_i32(p), high = fb_load_i32(p + 4);

		if (!sane_scale(fb_load_float(t->scales + 4 * i))) {
			return NN_ERR_QUANT;
		}
		/* int64: the upper half must be the lower half's sign. One zero point for all channels. */
		if (high != (low < 0 ? -1 : 0) || low < INT8_MIN || low > INT8_MAX) {
			return NN_ERR_QUANT;
		}
		if (i > 0 && low != t->zero_point) {
			return NN_ERR_QUANT;
		}
		t->zero_point = low;
	}
	return NN_OK;
}

static enum nn_status load_shape(struct fb *fb, const struct fb_table *table, struct nn_tensor *t)
{
	struct fb_vector shape = fb_vector(fb, table, TENSOR_SHAPE, 4);
	int64_t elements = 1;

	if (fb->damaged) {
		return NN_ERR_FORMAT;
	}
	if (shape.count > NN_MAX_RANK) {
		return NN_ERR_SHAPE;
	}
	t->rank = shape.count;
	for (uint32_t i = 0; i < shape.count; i++) {
		t->dim[i] = fb_i32_at(fb, &shape, i);
		if (t->dim[i] < 1 || t->dim[i] > NN_MAX_ELEMENTS) {
			return NN_ERR_SHAPE;
		}
		elements *= t->dim[i];
		if (elements > NN_MAX_ELEMENTS) {
			return NN_ERR_SHAPE;
		}
	}
	t->elements = (uint32_t)elements;
	return NN_OK;
}

static enum nn_status load_constant(struct fb *fb, const struct fb_vector *buffers, const struct fb_table *table,
				    struct nn_tensor *t)
{
	uint32_t index = (uint32_t)fb_i32(fb, table, TENSOR_BUFFER, EMPTY_BUFFER);
	uint32_t width = t->type == NN_TYPE_INT32 ? 4 : 1;
	struct fb_table buffer;
	struct fb_vector data;

	if (index >= buffers->count) {
		return NN_ERR_FORMAT;
	}
	buffer = fb_table_at(fb, buffers, index);
	data = fb_vector(fb, &buffer, BUFFER_DATA, 1);
	/* Data outside the FlatBuffer (schema 3c) is for models beyond 2 GB. */
	if (fb->damaged || fb_has(fb, &buffer, BUFFER_OFFSET) || fb_has(fb, &buffer, BUFFER_SIZE)) {
		return NN_ERR_FORMAT;
	}
	if (data.count == 0) {
		return NN_OK;
	}
	if (data.count != t->elements * width) {
		return NN_ERR_FORMAT;
	}
	t->constant = fb->bytes + data.position;
	return NN_OK;
}

static enum nn_status load_tensor(struct fb *fb, const struct fb_vector *buffers, const struct fb_table *table,
				  struct nn_tensor *t)
{
	enum nn_status status;

	t->first_op = t->last_op = -1;
	t->type = (int8_t)fb_u8(fb, table, TENSOR_TYPE, 0);
	if (fb->damaged) {
		return NN_ERR_FORMAT;
	}
	if (t->type != NN_TYPE_INT8 && t->type != NN_TYPE_INT32) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (fb_u8(fb, table, TENSOR_VARIABLE, 0) != 0 || fb_has(fb, table, TENSOR_SPARSITY)) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	status = load_shape(fb, table, t);
	if (status == NN_OK) {
		status = load_quantization(fb, table, t);
	}
	if (status == NN_OK) {
		status = load_constant(fb, buffers, table, t);
	}
	if (status != NN_OK) {
		return fb->damaged ? NN_ERR_FORMAT : status;
	}
	if (!t->constant && t->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (!t->constant && t->scale_count != 1) {
		return NN_ERR_QUANT;
	}
	return NN_OK;
}

enum nn_status nn_load_tensors(struct nn_model *m, struct fb *fb, const struct fb_vector *tables,
			       const struct fb_vector *buffers)
{
	if (tables->count == 0) {
		return NN_ERR_FORMAT;
	}
	if (tables->count > NN_MAX_TENSORS) {
		return NN_ERR_ARENA;
	}
	for (uint32_t i = 0; i < tables->count; i++) {
		struct fb_table table = fb_table_at(fb, tables, i);
		enum nn_status status = load_tensor(fb, buffers, &table, &m->tensor[i]);

		if (status != NN_OK) {
			return status;
		}
	}
	m->tensor_count = tables->count;
	return NN_OK;
}
