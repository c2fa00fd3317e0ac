/* SPDX-License-Identifier: Apache-2.0 */
#include "nn_fixedpoint.h"

#include <string.h>

enum { /* ActivationFunctionType of the TFLite schema */
       ACTIVATION_NONE = 0,
       ACTIVATION_RELU = 1,
       ACTIVATION_RELU_N1_TO_1 = 2,
       ACTIVATION_RELU6 = 3,
};

enum nn_status nn_quantize_multiplier(double real, struct nn_requant *q)
{
	uint64_t bits, significand;
	int32_t shift;

	_Static_assert(sizeof(bits) == sizeof(real), "IEEE 754 binary64");
	memcpy(&bits, &real, sizeof(bits));
	q->multiplier = 0;
	q->shift = 0;
	if (bits == 0) {
		return NN_OK;
	}
	if (bits >> 63 != 0 || bits >> 52 == 0x7ff) {
		return NN_ERR_QUANT;
	}
	/* frexp: real = 0.1fff... * 2^shift. A subnormal ends far below 2^-31 and becomes 0 as in the reference. */
	shift = (int32_t)(bits >> 52) - 1022;
	significand = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
	significand = (significand + (UINT64_C(1) << 21)) >> 22;
	if (significand == UINT64_C(1) << 31) {
		significand /= 2;
		shift++;
	}
	if (shift < -31) {
		return NN_OK;
	}
	if (shift > 30) {
		return NN_ERR_QUANT;
	}
	q->multiplier = (int32_t)significand;
	q->shift = shift;
	return NN_OK;
}

/* zero_point + round(real / scale), ties away from zero. False when the quotient does not fit int32. */
static bool quantize(float real, const struct nn_tensor *t, int64_t *quantized)
{
	float quotient = real / t->scale;
	int64_t whole;
	float fraction;

	if (!(quotient > -2147483648.0f && quotient < 2147483648.0f)) {
		return false;
	}
	whole = (int64_t)quotient;
	fraction = quotient - (float)whole; /* exact: below 2^24 by Sterbenz, above there is no fraction */
	if (fraction >= 0.5f) {
		whole++;
	} else if (fraction <= -0.5f) {
		whole--;
	}
	*quantized = whole + t->zero_point;
	return true;
}

enum nn_status nn_activation_range(uint8_t activation, const struct nn_tensor *output, int32_t *low, int32_t *high)
{
	int64_t bottom = INT8_MIN, top = INT8_MAX;

	switch (activation) {
	case ACTIVATION_NONE:
		break;
	case ACTIVATION_RELU:
		if (!quantize(0.0f, output, &bottom)) {
			return NN_ERR_QUANT;
		}
		break;
	case ACTIVATION_RELU_N1_TO_1:
		if (!quantize(-1.0f, output, &bottom) || !quantize(1.0f, output, &top)) {
			return NN_ERR_QUANT;
		}
		break;
	case ACTIVATION_RELU6:
		if (!quantize(0.0f, output, &bottom) || !quantize(6.0f, output, &top)) {
			return NN_ERR_QUANT;
		}
		break;
	default:
		return NN_ERR_UNSUPPORTED_OP;
	}
	*low = (int32_t)(bottom < INT8_MIN ? INT8_MIN : bottom);
	*high = (int32_t)(top > INT8_MAX ? INT8_MAX : top);
	return NN_OK;
}

/* exp(a) for a in [-1/4, 0), Q0.31: a Taylor polynomial around -1/8. */
static int32_t exp_near_zero(int32_t a)
{
	const int32_t exp_minus_eighth = 1895147668;
	const int32_t third = 715827883;
	int32_t x = a + (1 << 28);
	int32_t x2 = nn_high_mul(x, x);
	int32_t x3 = nn_high_mul(x2, x);
	int32_t x4 = nn_high_mul(x2, x2);
	int32_t tail = nn_high_mul(nn_divide_by_pot(x4, 2) + x3, third) + x2;

	return exp_minus_eighth + nn_high_mul(exp_minus_eighth, x + nn_divide_by_pot(tail, 1));
}

int32_t nn_exp_on_negative_values(int32_t a)
{
	/* exp(-2^(i-2)) in Q0.31: one factor for each bit of -a above the last quarter. */
	static const int32_t factor[] = { 1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242 };
	const int32_t quarter = 1 << 24; /* 1/4 in Q5.26 */
	int32_t in_quarter = (a & (quarter - 1)) - quarter;
	int32_t remainder = in_quarter - a;
	int32_t result;

	if (a == 0) {
		return INT32_MAX;
	}
	result = exp_near_zero(nn_shift_left(in_quarter, 5)); /* Q5.26 to Q0.31; |in_quarter| <= 2^24 */
	for (unsigned i = 0; i < sizeof(factor) / sizeof(factor[0]); i++) {
		if (remainder & (quarter << i)) {
			result = nn_high_mul(result, factor[i]);
		}
	}
	return result;
}

int32_t nn_one_over_one_plus_x(int32_t a)
{
	/* Newton-Raphson for 1/d, d = (1 + a) / 2, in Q2.29, from the usual start 48/17 - 32/17 d. */
	const int32_t c48_over_17 = 1515870810;
	const int32_t minus_32_over_17 = -1010580540;
	const int32_t one = 1 << 29;
	int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
	int32_t x = c48_over_17 + nn_high_mul(half_denominator, minus_32_over_17);

	for (int i = 0; i < 3; i++) {
		int32_t error = one - nn_high_mul(half_denominator, x);

		/* The product is in Q4.27; two bits up, saturated, gives Q2.29 again. */
		int32_t step = nn_high_mul(x, error);
		const int32_t limit = (1 << 29) - 1;

		x += step > limit ? INT32_MAX : step < -limit ? INT32_MIN : nn_shift_left(step, 2);
	}
	/* x = 2 / (1 + a) in Q2.29 is 1 / (1 + a) in Q1.30; one bit up, saturated, gives Q0.31. */
	if (x > (1 << 30) - 1) {
		return INT32_MAX;
	}
	return nn_shift_left(x, 1);
}
