/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small, strict interpreter for int8 TensorFlow Lite models.
 *
 * Runs one subgraph with one input and one output out of a .tflite file in memory, bit-exact with the
 * reference kernels of tflite-runtime 2.14 (OpResolverType.BUILTIN_REF). The file is not trusted: every
 * offset, size, shape and quantisation parameter is checked before use, and a model that fails a check is
 * refused with a status. No heap, no recursion, no library beyond string.h; floating point only while a
 * model is prepared, where the reference derives its fixed-point multipliers from float scales.
 *
 * Operators: ADD, AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, MAX_POOL_2D, MEAN, PAD,
 * RESHAPE, SOFTMAX. Fused activations: NONE, RELU, RELU6, RELU_N1_TO_1.
 *
 * Everything here is for one thread. The model's bytes and the arena belong to the caller and must stay
 * where they are, and unchanged, as long as the model is in use.
 */
#ifndef NN_H
#define NN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NN_MAX_TENSORS 128u
#define NN_MAX_OPS 32u
#define NN_MAX_RANK 4u
#define NN_MAX_OP_INPUTS 3u

/* Largest number of elements of a tensor: keeps every index and every sum of int8 values within int32. */
#define NN_MAX_ELEMENTS (1 << 20)

/* Most inner-loop steps (multiply-accumulates, compared or copied elements) of one inference. */
#ifndef NN_MAX_WORK
#define NN_MAX_WORK (UINT64_C(1) << 26)
#endif

enum nn_status {
	NN_OK = 0,
	NN_ERR_FORMAT,           /* not a .tflite file, damaged, or not one plain subgraph */
	NN_ERR_UNSUPPORTED_OP,   /* an operator, or an option of one, that is not in the list above */
	NN_ERR_UNSUPPORTED_TYPE, /* a tensor type other than int8 (int32 for biases, axes, paddings, shapes) */
	NN_ERR_SHAPE,            /* shapes that do not fit together or are too large */
	NN_ERR_QUANT,            /* missing, absurd or contradictory quantisation parameters */
	NN_ERR_ARENA,            /* more work memory, tensors, operators or work than there is */
	NN_ERR_ARG,              /* a null pointer, or a model that is not initialised */
};

/* Private to the interpreter; public in size so that callers can place a model statically. */
struct nn_tensor {
	const uint8_t *constant;    /* data inside the model's bytes; NULL for an activation */
	int8_t *data;               /* data inside the arena; NULL for a constant */
	const uint8_t *scales;      /* scale_count little-endian floats inside the model's bytes */
	uint32_t scale_count;
	float scale;                /* the first of them; 0 without quantisation */
	int32_t zero_point;
	int32_t quantized_dimension;
	int32_t dim[NN_MAX_RANK];
	uint32_t rank;
	uint32_t elements;
	uint32_t offset;            /* in the arena, for an activation */
	int16_t first_op, last_op;  /* when an activation is live; -1, -1: never */
	int8_t type;
};

struct nn_window { /* convolution and pooling */
	int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w, depth_multiplier;
};

struct nn_requant { /* a real multiplier as a Q0.31 significand and a power of two */
	int32_t multiplier;
	int32_t shift;
};

struct nn_kernel;

struct nn_op {
	const struct nn_kernel *kernel;
	uint8_t input[NN_MAX_OP_INPUTS];
	uint8_t output;
	int32_t act_min, act_max;
	uint64_t work;
	const uint8_t *requant;     /* an array of struct nn_requant in the arena, perhaps not aligned */
	union {
		struct nn_window window;
		struct nn_requant rescale;
		struct {
			struct nn_requant input[2], output;
			int32_t stride[2][NN_MAX_RANK];
		} add;
		struct {
			struct nn_requant rescale;
			uint32_t axes; /* bit i: dimension i is reduced */
		} mean;
		struct {
			int32_t before[NN_MAX_RANK];
		} pad;
		struct {
			struct nn_requant beta;
			int32_t diff_min;
		} softmax;
	} as;
};

typedef void nn_observer(void *ctx, unsigned op_index, uint32_t builtin_code, const int8_t *out, size_t len);

struct nn_model {
	struct nn_tensor tensor[NN_MAX_TENSORS];
	struct nn_op op[NN_MAX_OPS];
	uint32_t tensor_count, op_count;
	uint8_t input, output;
	bool ready;
	uint8_t *arena;
	uint32_t arena_size;        /* what is left below the multipliers at the arena's end */
	uint32_t arena_planned;     /* bytes of activations */
	uint32_t arena_used;        /* bytes of activations and multipliers */
	nn_observer *observer;
	void *observer_ctx;
};

struct nn_tensor_info {
	float scale;
	int32_t zero_point;
	uint32_t rank;
	int32_t shape[NN_MAX_RANK]; /* `rank` entries, the others 0 */
};

/*
 * Check the model in flatbuffer[0..len), prepare its operators and lay out its tensors in the arena.
 * Removes the observer. On failure `m` refuses everything with NN_ERR_ARG; it may be initialised again.
 */
enum nn_status nn_model_init(struct nn_model *m, const uint8_t *flatbuffer, size_t len, uint8_t *arena,
			     size_t arena_len);

/* Run the model on what stands in its input tensor, which is left as it was. */
enum nn_status nn_model_invoke(struct nn_model *m);

/* The input and output tensors, `*len` bytes each; NULL and 0 without an initialised model. */
int8_t *nn_input(struct nn_model *m, size_t *len);
const int8_t *nn_output(const struct nn_model *m, size_t *len);

/* Shape and quantisation (real = scale * (value - zero_point)); false without an initialised model. */
bool nn_input_info(const struct nn_model *m, struct nn_tensor_info *info);
bool nn_output_info(const struct nn_model *m, struct nn_tensor_info *info);

/* Number of operators, the TFLite builtin code of one, and its name in the TFLite schema. */
uint32_t nn_op_count(const struct nn_model *m);
uint32_t nn_op_code(const struct nn_model *m, uint32_t op_index);
const char *nn_op_name(uint32_t builtin_code);

/* Bytes of the arena in use. */
size_t nn_arena_used(const struct nn_model *m);

/* Call `observer` with each operator's output right after it ran; NULL: no longer. */
void nn_set_observer(struct nn_model *m, nn_observer *observer, void *ctx);

/* The status in words, for a log line. */
const char *nn_status_text(enum nn_status status);

#endif
