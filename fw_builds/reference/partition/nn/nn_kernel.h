/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the loader and the kernels.
 *
 * A kernel's `prepare` checks one operator of the model and derives what `invoke` needs; `invoke` may rely
 * on every check and cannot fail.
 */
#ifndef NN_KERNEL_H
#define NN_KERNEL_H

#include "nn.h"
#include "nn_flatbuffer.h"

#define NN_NO_TENSOR 0xffu

enum { NN_TYPE_INT32 = 2, NN_TYPE_INT8 = 9 }; /* TensorType of the TFLite schema */

struct nn_prepare {
	struct nn_model *model;
	struct fb *fb;
	struct fb_table options;   /* builtin_options; absent only where the kernel does not need them */
	uint32_t inputs;           /* number of inputs that the operator names */
};

struct nn_kernel {
	uint32_t code;             /* BuiltinOperator of the TFLite schema */
	const char *name;
	int32_t newest_version;    /* of the operator, in tflite-runtime 2.14; versions start at 1 */
	uint8_t options_type;      /* BuiltinOptions of the TFLite schema */
	bool options_needed;
	uint8_t inputs_min, inputs_max;
	enum nn_status (*prepare)(struct nn_prepare *p, struct nn_op *op);
	void (*invoke)(const struct nn_model *m, const struct nn_op *op);
};

extern const struct nn_kernel nn_add, nn_average_pool_2d, nn_conv_2d, nn_depthwise_conv_2d, nn_fully_connected,
	nn_max_pool_2d, nn_mean, nn_pad, nn_reshape, nn_softmax;

const struct nn_kernel *nn_find_kernel(uint32_t code);

/* Model file to prepared operators (nn_loader.c); its tensors (nn_tensors.c); their arena offsets (nn_plan.c). */
enum nn_status nn_load(struct nn_model *m, const uint8_t *bytes, uint32_t size);
enum nn_status nn_load_tensors(struct nn_model *m, struct fb *fb, const struct fb_vector *tables,
			       const struct fb_vector *buffers);
enum nn_status nn_plan(struct nn_model *m);

/* An operator's tensors, NULL for an optional input that is not there; and the values of an int8 one. */
const struct nn_tensor *nn_op_input(const struct nn_model *m, const struct nn_op *op, unsigned i);
const struct nn_tensor *nn_op_output(const struct nn_model *m, const struct nn_op *op);

static inline const int8_t *nn_values(const struct nn_tensor *t)
{
	return t->constant ? (const int8_t *)t->constant : t->data;
}

/* Checks that several kernels share. */
bool nn_same_shape(const struct nn_tensor *a, const struct nn_tensor *b);
bool nn_same_quantization(const struct nn_tensor *a, const struct nn_tensor *b);
bool nn_has_shape(const struct nn_tensor *t, uint32_t rank, const int32_t *dim);
enum nn_status nn_check_bias(const struct nn_tensor *bias, int32_t channels);

/* SAME or VALID padding of one spatial dimension: output size and padding in front (ComputePadding). */
enum { NN_PADDING_SAME = 0, NN_PADDING_VALID = 1 };
enum nn_status nn_window_size(uint8_t padding, int32_t in, int32_t filter, int32_t stride, int32_t dilation,
			      int32_t *out, int32_t *before);

/*
 * One multiplier a channel, input scale * weights' scale / output scale, into a table at the arena's end: op->requant.
 * The weights (input 1) have one scale, or one a channel.
 */
enum nn_status nn_prepare_requant(struct nn_model *m, struct nn_op *op, int32_t channels);
struct nn_requant nn_load_requant(const uint8_t *table, uint32_t i);

#endif
