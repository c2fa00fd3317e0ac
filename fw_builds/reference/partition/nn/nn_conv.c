/* SPDX-License-Identifier: Apache-2.0 */
/* CONV_2D and DEPTHWISE_CONV_2D: int8 activations, int8 weights per tensor or per channel, int32 biases. */
#include "nn_fixedpoint.h"
#include "nn_kernel.h"

enum {
	CONV_PADDING = 0,
	CONV_STRIDE_W = 1,
	CONV_STRIDE_H = 2,
	CONV_ACTIVATION = 3,
	CONV_DILATION_W = 4,
	CONV_DILATION_H = 5
};
enum {
	DEPTHWISE_PADDING = 0,
	DEPTHWISE_STRIDE_W = 1,
	DEPTHWISE_STRIDE_H = 2,
	DEPTHWISE_MULTIPLIER = 3,
	DEPTHWISE_ACTIVATION = 4,
	DEPTHWISE_DILATION_W = 5,
	DEPTHWISE_DILATION_H = 6
};

struct operands {
	const struct nn_tensor *input, *filter, *bias, *output;
};

static struct operands operands_of(const struct nn_model *m, const struct nn_op *op)
{
	struct operands t = { nn_op_input(m, op, 0), nn_op_input(m, op, 1), nn_op_input(m, op, 2),
			      nn_op_output(m, op) };
	return t;
}

static enum nn_status check_operands(const struct operands *t, int32_t channels, int32_t channel_dimension)
{
	if (t->input->type != NN_TYPE_INT8 || t->filter->type != NN_TYPE_INT8) {
		return NN_ERR_UNSUPPORTED_TYPE;
	}
	if (!t->filter->constant || (t->bias && !t->bias->constant)) {
		return NN_ERR_FORMAT;
	}
	/* The reference takes weights as symmetric and ignores their zero point. */
	if (t->input->scale_count != 1 || t->filter->scale_count == 0 || t->filter->zero_point != 0) {
		return NN_ERR_QUANT;
	}
	if (t->filter->scale_count != 1 &&
	    (t->filter->scale_count != (uint32_t)channels || t->filter->quantized_dimension != channel_dimension)) {
		return NN_ERR_QUANT;
	}
	return nn_check_bias(t->bias, channels);
}

/* Window geometry and output shape; strides, dilations and depth multiplier are in `w` already. */
static enum nn_status prepare_window(struct nn_op *op, const struct operands *t, uint8_t padding, struct nn_window *w,
				     int32_t channels, uint8_t activation)
{
	int32_t out[4] = { t->input->dim[0], 0, 0, channels };
	enum nn_status status;

	w->filter_h = t->filter->dim[1];
	w->filter_w = t->filter->dim[2];
	status = nn_window_size(padding, t->input->dim[1], w->filter_h, w->stride_h, w->dilation_h, &out[1], &w->pad_h);
	if (status == NN_OK) {
		status = nn_window_size(padding, t->input->dim[2], w->filter_w, w->stride_w, w->dilation_w, &out[2],
					&w->pad_w);
	}
	if (status != NN_OK) {
		return status;
	}
	if (!nn_has_shape(t->output, 4, out)) {
		return NN_ERR_SHAPE;
	}
	op->as.window = *w;
	return nn_activation_range(activation, t->output, &op->act_min, &op->act_max);
}

/* What both prepare in the same way. Output channels are counted by the filter's dimension `channel_dimension`. */
static enum nn_status prepare_channels(struct nn_prepare *p, struct nn_op *op, const struct operands *t,
				       int32_t channel_dimension, struct nn_window *w, uint8_t padding,
				       uint8_t activation)
{
	const int32_t channels = t->filter->dim[channel_dimension];
	enum nn_status status = check_operands(t, channels, channel_dimension);

	if (status == NN_OK) {
		status = prepare_window(op, t, padding, w, channels, activation);
	}
	if (status == NN_OK) {
		status = nn_prepare_requant(p->model, op, channels);
	}
	op->work = (uint64_t)t->output->elements * (t->filter->elements / (uint32_t)channels);
	return status;
}

static enum nn_status prepare_conv(struct nn_prepare *p, struct nn_op *op)
{
	struct operands t = operands_of(p->model, op);
	struct nn_window w = {
		.stride_h = fb_i32(p->fb, &p->options, CONV_STRIDE_H, 0),
		.stride_w = fb_i32(p->fb, &p->options, CONV_STRIDE_W, 0),
		.dilation_h = fb_i32(p->fb, &p->options, CONV_DILATION_H, 1),
		.dilation_w = fb_i32(p->fb, &p->options, CONV_DILATION_W, 1),
	};
	uint8_t padding = fb_u8(p->fb, &p->options, CONV_PADDING, NN_PADDING_SAME);
	uint8_t activation = fb_u8(p->fb, &p->options, CONV_ACTIVATION, 0);

	if (t.input->rank != 4 || t.filter->rank != 4) {
		return NN_ERR_SHAPE;
	}
	if (t.filter->dim[3] != t.input->dim[3]) { /* grouped convolution is not supported */
		return NN_ERR_SHAPE;
	}
	return prepare_channels(p, op, &t, 0, &w, padding, activation);
}

static enum nn_status prepare_depthwise(struct nn_prepare *p, struct nn_op *op)
{
	struct operands t = operands_of(p->model, op);
	struct nn_window w = {
		.stride_h = fb_i32(p->fb, &p->options, DEPTHWISE_STRIDE_H, 0),
		.stride_w = fb_i32(p->fb, &p->options, DEPTHWISE_STRIDE_W, 0),
		.dilation_h = fb_i32(p->fb, &p->options, DEPTHWISE_DILATION_H, 1),
		.dilation_w = fb_i32(p->fb, &p->options, DEPTHWISE_DILATION_W, 1),
		.depth_multiplier = fb_i32(p->fb, &p->options, DEPTHWISE_MULTIPLIER, 0),
	};
	uint8_t padding = fb_u8(p->fb, &p->options, DEPTHWISE_PADDING, NN_PADDING_SAME);
	uint8_t activation = fb_u8(p->fb, &p->options, DEPTHWISE_ACTIVATION, 0);
	int32_t channels;

	if (t.input->rank != 4 || t.filter->rank != 4 || t.filter->dim[0] != 1) {
		return NN_ERR_SHAPE;
	}
	channels = t.filter->dim[3];
	if (channels % t.input->dim[3] != 0 || channels / t.input->dim[3] != w.depth_multiplier) {
		return NN_ERR_SHAPE;
	}
	return prepare_channels(p, op, &t, 3, &w, padding, activation);
}

/* acc + the dot product of `count` inputs, offset by their zero point, and weights. */
static int32_t dot(int32_t acc, const int8_t *in, int32_t in_offset, const int8_t *weights, int32_t count)
{
	/* Unsigned, so that a model that overflows the accumulator wraps instead of being undefined. */
	uint32_t sum = (uint32_t)acc;

	for (int32_t i = 0; i < count; i++) {
		sum += (uint32_t)((in[i] + in_offset) * weights[i]);
	}
	return (int32_t)sum;
}

static int32_t bias_of(const struct nn_tensor *bias, int32_t channel)
{
	return bias ? fb_load_i32(bias->constant + 4 * channel) : 0;
}

/* How an output channel's weights lie in the filter, and which inputs of a cell they belong to. */
struct filter_layout {
	int32_t per_channel; /* weights from one output channel's first to the next one's */
	int32_t per_cell;    /* weights from one cell of the window to the next */
	int32_t outputs;     /* output channels for each input channel; 0: all inputs go into each output channel */
	int32_t count;       /* inputs of a cell that go into one output channel */
};

/*
 * Inlined into both, where the layout's constants are known: one of the two counts to one, the other does not divide.
 */
static inline __attribute__((always_inline)) void convolve(const struct nn_op *op, const struct operands *t,
							   const struct filter_layout *layout)
{
	const struct nn_window *w = &op->as.window;
	const int32_t in_h = t->input->dim[1], in_w = t->input->dim[2], depth = t->input->dim[3];
	const int32_t out_h = t->output->dim[1], out_w = t->output->dim[2], channels = t->output->dim[3];
	const int8_t *weights = nn_values(t->filter);
	int8_t *out = t->output->data;

	for (int32_t batch = 0; batch < t->output->dim[0]; batch++) {
		const int8_t *in = nn_values(t->input) + batch * in_h * in_w * depth;

		for (int32_t cell = 0; cell < out_h * out_w; cell++) {
			const int32_t top = cell / out_w * w->stride_h - w->pad_h;
			const int32_t left = cell % out_w * w->stride_w - w->pad_w;

			for (int32_t c = 0; c < channels; c++) {
				const int8_t *source = in + (layout->outputs == 0 ? 0 : c / layout->outputs);
				const int8_t *filter = weights + c * layout->per_channel;
				int32_t acc = 0;

				for (int32_t fy = 0; fy < w->filter_h; fy++) {
					const int32_t y = top + fy * w->dilation_h;

					for (int32_t fx = 0; fx < w->filter_w; fx++) {
						const int32_t x = left + fx * w->dilation_w;

						if (y < 0 || y >= in_h || x < 0 || x >= in_w) {
							continue; /* padding holds the zero point: adds nothing */
						}
						acc = dot(acc, source + (y * in_w + x) * depth, -t->input->zero_point,
							  filter + (fy * w->filter_w + fx) * layout->per_cell,
							  layout->count);
					}
				}
				acc = nn_wrapping_add(acc, bias_of(t->bias, c));
				*out++ = nn_requantize(acc, nn_load_requant(op->requant, (uint32_t)c),
						       t->output->zero_point, op->act_min, op->act_max);
			}
		}
	}
}

/* Filter: output channel, height, width, input channel. */
static void invoke_conv(const struct nn_model *m, const struct nn_op *op)
{
	const struct operands t = operands_of(m, op);
	const int32_t depth = t.input->dim[3];
	const struct filter_layout layout = {
		.per_channel = t.filter->dim[1] * t.filter->dim[2] * depth,
		.per_cell = depth,
		.count = depth,
	};

	convolve(op, &t, &layout);
}

/* Filter: 1, height, width, output channel. */
static void invoke_depthwise(const struct nn_model *m, const struct nn_op *op)
{
	const struct operands t = operands_of(m, op);
	const struct filter_layout layout = {
		.per_channel = 1,
		.per_cell = t.output->dim[3],
		.outputs = op->as.window.depth_multiplier,
		.count = 1,
	};

	convolve(op, &t, &layout);
}

const struct nn_kernel nn_conv_2d = {
	/* The reference runs an int8 CONV_2D with a bias only. */
	.code = 3,       .name = "CONV_2D", .newest_version = 6,     .options_type = 1,     .options_needed = true,
	.inputs_min = 3, .inputs_max = 3,   .prepare = prepare_conv, .invoke = invoke_conv,
};

const struct nn_kernel nn_depthwise_conv_2d = {
	.code = 4,
	.name = "DEPTHWISE_CONV_2D",
	.newest_version = 6,
	.options_type = 2,
	.options_needed = true,
	.inputs_min = 2,
	.inputs_max = 3,
	.prepare = prepare_depthwise,
	.invoke = invoke_depthwise,
};
