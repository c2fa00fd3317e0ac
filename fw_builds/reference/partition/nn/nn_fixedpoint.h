/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integer arithmetic of TFLite's reference kernels.
 *
 * Names and results follow gemmlowp's fixedpoint.h and TFLite's quantization_util, in the double-rounding
 * form that tflite-runtime 2.14 is built with.
 */
#ifndef NN_FIXEDPOINT_H
#define NN_FIXEDPOINT_H

#include <stdint.h>

#include "nn.h"

/* a * b * 2^-31 rounded to nearest, saturated (gemmlowp SaturatingRoundingDoublingHighMul). */
static inline int32_t nn_high_mul(int32_t a, int32_t b)
{
	int64_t product = (int64_t)a * b;
	int64_t nudge = product >= 0 ? (INT64_C(1) << 30) : 1 - (INT64_C(1) << 30);

	if (a == INT32_MIN && b == INT32_MIN) {
		return INT32_MAX;
	}
	return (int32_t)((product + nudge) / (INT64_C(1) << 31));
}

/* x / 2^exponent rounded to nearest, ties away from zero; 0 <= exponent <= 31 (RoundingDivideByPOT). */
static inline int32_t nn_divide_by_pot(int32_t x, int32_t exponent)
{
	uint32_t mask = (uint32_t)((UINT64_C(1) << exponent) - 1);
	uint32_t remainder = (uint32_t)x & mask;
	uint32_t threshold = (mask >> 1) + (x < 0 ? 1u : 0u);

	return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * 2^exponent modulo 2^32. */
static inline int32_t nn_shift_left(int32_t x, int32_t exponent)
{
	return (int32_t)((uint32_t)x << exponent);
}

/* a + b modulo 2^32: what the reference's accumulators do when a model overflows them. */
static inline int32_t nn_wrapping_add(int32_t a, int32_t b)
{
	return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* TFLite's MultiplyByQuantizedMultiplier. */
static inline int32_t nn_multiply(int32_t x, struct nn_requant q)
{
	int32_t left = q.shift > 0 ? q.shift : 0;
	int32_t right = q.shift > 0 ? 0 : -q.shift;

	return nn_divide_by_pot(nn_high_mul(nn_shift_left(x, left), q.multiplier), right);
}

static inline int8_t nn_clamp(int32_t x, int32_t low, int32_t high)
{
	return (int8_t)(x < low ? low : x > high ? high : x);
}

/* An accumulator to an int8 output: the last step of convolution and matrix product. */
static inline int8_t nn_requantize(int32_t acc, struct nn_requant q, int32_t zero_point, int32_t low, int32_t high)
{
	int32_t scaled = nn_multiply(acc, q);

	return nn_clamp(nn_wrapping_add(scaled, zero_point), low, high);
}

/*
 * A non-negative real multiplier as significand and shift (TFLite's QuantizeMultiplier).
 * NN_ERR_QUANT: not a number, infinite, negative, or 2^30 and more.
 */
enum nn_status nn_quantize_multiplier(double real, struct nn_requant *q);

/* The int8 range that a fused activation leaves (CalculateActivationRangeQuantized). */
enum nn_status nn_activation_range(uint8_t activation, const struct nn_tensor *output, int32_t *low, int32_t *high);

/* exp(a) for a <= 0 in Q5.26, the result in Q0.31 (gemmlowp exp_on_negative_values). */
int32_t nn_exp_on_negative_values(int32_t a);

/* 1 / (1 + a) for a in [0, 1), all in Q0.31 (gemmlowp one_over_one_plus_x_for_x_in_0_1). */
int32_t nn_one_over_one_plus_x(int32_t a);

#endif
