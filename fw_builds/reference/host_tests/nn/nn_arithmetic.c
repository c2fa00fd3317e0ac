/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's arithmetic as a shared library, for tests against independent formulas. */
#include "../../partition/nn/nn_fixedpoint.h"
#include "../../partition/nn/sensor_frontend.h"

int32_t test_high_mul(int32_t a, int32_t b);
int32_t test_divide_by_pot(int32_t x, int32_t exponent);
int32_t test_multiply(int32_t x, int32_t multiplier, int32_t shift);
int test_quantize_multiplier(double real, int32_t *multiplier, int32_t *shift);
int8_t test_sensor_quantize(int16_t raw, int32_t bias, int32_t shift);
void test_sensor_sample(const int16_t *raw, int8_t *out);

int32_t test_high_mul(int32_t a, int32_t b)
{
	return nn_high_mul(a, b);
}

int32_t test_divide_by_pot(int32_t x, int32_t exponent)
{
	return nn_divide_by_pot(x, exponent);
}

int32_t test_multiply(int32_t x, int32_t multiplier, int32_t shift)
{
	struct nn_requant q = { multiplier, shift };

	return nn_multiply(x, q);
}

int test_quantize_multiplier(double real, int32_t *multiplier, int32_t *shift)
{
	struct nn_requant q;
	enum nn_status status = nn_quantize_multiplier(real, &q);

	*multiplier = q.multiplier;
	*shift = q.shift;
	return (int)status;
}

int8_t test_sensor_quantize(int16_t raw, int32_t bias, int32_t shift)
{
	return sensor_quantize(raw, bias, shift);
}

void test_sensor_sample(const int16_t *raw, int8_t *out)
{
	struct sensor_sample sample = { raw[0], raw[1], raw[2], raw[3] };

	sensor_quantize_sample(&sample, out);
}
