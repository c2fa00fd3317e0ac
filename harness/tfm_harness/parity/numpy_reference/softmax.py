"""SOFTMAX of int8 values in fixed point, with gemmlowp's exponential and reciprocal.

The output has scale 1/256 and zero point -128.
"""

from __future__ import annotations

import math

import numpy as np

from tfm_harness.parity.numpy_reference.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    Ints,
    Multiplier,
    doubling_high_mul,
    rounding_shift,
)

__all__ = ["softmax"]

_INTEGER_BITS = 5  # of the scaled difference
_SUM_BITS = 12  # integer bits of the sum of exponentials
_EXP_MINUS_EIGHTH = 1895147668  # exp(-1/8) in Q0.31
_ONE_THIRD = 715827883  # 1/3 in Q0.31
_EXP_OF_POWERS = (  # (e, exp(-2^e) in Q0.31)
    (-2, 1672461947),
    (-1, 1302514674),
    (0, 790015084),
    (1, 290630308),
    (2, 39332535),
    (3, 720401),
    (4, 242),
)
_48_OVER_17 = 1515870810  # in Q2.29
_MINUS_32_OVER_17 = -1010580540  # in Q2.29


def softmax(x: Ints, *, beta: float, scale: float) -> Ints:
    """Rows of int8 values (n, depth) to rows of int8 probabilities.

    Args:
        x: quantised logits.
        beta: the operator's beta.
        scale: the input's scale.
    """
    # The scaled difference has 5 integer bits; the multiplier may not exceed what 32 bits hold.
    real = min(beta * scale * (1 << (31 - _INTEGER_BITS)), float(INT32_MAX))
    multiplier = Multiplier.of(real)
    radius = math.floor(((1 << _INTEGER_BITS) - 1) * (1 << (31 - _INTEGER_BITS)) / (1 << multiplier.shift))
    difference = x - x.max(axis=-1, keepdims=True)
    counted = difference >= -radius
    scaled = doubling_high_mul(difference << multiplier.shift, multiplier.significand)
    exponentials = np.where(counted, _exp_on_negative(np.where(counted, scaled, 0)), 0)
    total = np.where(counted, rounding_shift(exponentials, _SUM_BITS), 0).sum(axis=-1, keepdims=True)
    reciprocal, bits_over_unit = _reciprocal(total)
    product = doubling_high_mul(exponentials, reciprocal)
    output = rounding_shift(product, bits_over_unit + 31 - 8) - 128
    clamped: Ints = np.clip(np.where(counted, output, -128), -128, 127)
    return clamped


def _saturating_shift(x: Ints, exponent: int) -> Ints:
    """`x` times 2^exponent, saturated."""
    saturated: Ints = np.clip(x << exponent, INT32_MIN, INT32_MAX)
    return saturated


def _exp_on_negative(a: Ints) -> Ints:
    """exp(a) in Q0.31 for a <= 0 in Q5.26."""
    fraction_bits = 31 - _INTEGER_BITS
    quarter = 1 << (fraction_bits - 2)
    reduced = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(_saturating_shift(reduced, _INTEGER_BITS))
    remainder = reduced - a
    for exponent, factor in _EXP_OF_POWERS:
        if exponent < _INTEGER_BITS:
            bit = (remainder >> (fraction_bits + exponent)) & 1
            result = np.where(bit == 1, doubling_high_mul(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def _exp_near_zero(a: Ints) -> Ints:
    """exp(a) in Q0.31 for -1/4 <= a < 0 in Q0.31: a Taylor polynomial around -1/8."""
    x = a + (1 << 28)
    x2 = doubling_high_mul(x, x)
    x3 = doubling_high_mul(x2, x)
    x4_over_4 = rounding_shift(doubling_high_mul(x2, x2), 2)
    terms = rounding_shift(doubling_high_mul(x4_over_4 + x3, _ONE_THIRD) + x2, 1)
    return _EXP_MINUS_EIGHTH + doubling_high_mul(x + terms, _EXP_MINUS_EIGHTH)


def _reciprocal(total: Ints) -> tuple[Ints, Ints]:
    """1 / total for totals in Q12.19: the significand in Q0.31, and by how many bits the total exceeds one."""
    bits = np.frompyfunc(lambda value: int(value).bit_length(), 1, 1)(total).astype(np.int64)
    headroom = 32 - bits
    over_unit = _SUM_BITS - headroom
    fraction = (total << headroom) - (1 << 31)
    # Newton's method for 1 / (1 + fraction): three steps from 48/17 - 32/17 * d, d = (1 + fraction) / 2 in Q0.31.
    half = _half_sum(fraction, INT32_MAX)
    x = _48_OVER_17 + doubling_high_mul(half, _MINUS_32_OVER_17)
    for _ in range(3):
        error = (1 << 29) - doubling_high_mul(half, x)
        x = x + _saturating_shift(doubling_high_mul(x, error), 2)
    # Half of x, from Q2.29 to Q0.31: one bit to the left.
    return _saturating_shift(x, 1), over_unit


def _half_sum(a: Ints, b: int) -> Ints:
    """(a + b) / 2, rounded away from zero."""
    total = a + b
    rounded = total + np.where(total >= 0, 1, -1)
    return np.where(rounded >= 0, rounded >> 1, -((-rounded) >> 1))
