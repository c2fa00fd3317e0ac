"""Integer arithmetic of quantised TensorFlow Lite operators, on whole arrays.

All values are int64 arrays that hold 32-bit numbers; results are saturated or rounded as the 32-bit rules say.
Sources: "gemmlowp: quantization example" (fixed-point multiplication), TFLite's 8-bit quantization specification.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["INT32_MAX", "INT32_MIN", "Multiplier", "Multipliers", "doubling_high_mul", "rounding_shift"]

Ints = npt.NDArray[Any]

INT32_MAX = (1 << 31) - 1
INT32_MIN = -(1 << 31)


def doubling_high_mul(a: Ints, b: Ints | int) -> Ints:
    """The high 32 bits of twice the product, rounded to nearest, halves up; -2^31 squared saturates.

    gemmlowp adds a nudge (2^30, or 1 - 2^30 to a negative product) and divides by 2^31 toward zero. For every product
    that is the same as adding 2^30 and shifting right.
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + (1 << 30)) >> 31, INT32_MAX)


def rounding_shift(x: Ints, exponent: int | Ints) -> Ints:
    """Division by 2^exponent, rounded to nearest, halves away from zero."""
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (x < 0)
    shifted: Ints = (x >> exponent) + (remainder > threshold)
    return shifted


@dataclass(frozen=True, slots=True)
class Multiplier:
    """A real number as significand (Q31) and power of two, as operators get it from their scales.

    Attributes:
        significand: in [2^30, 2^31), or 0.
        shift: exponent of two; positive shifts left.
    """

    significand: int
    shift: int

    @classmethod
    def of(cls, real: float) -> Multiplier:
        """The multiplier of a real number that is not negative.

        The significand is rounded to nearest; too small numbers become zero, too large ones saturate.
        """
        if real == 0.0:
            return cls(0, 0)
        fraction, shift = math.frexp(real)
        scaled = fraction * (1 << 31)
        significand = math.floor(scaled + 0.5)  # halves away from zero: never negative
        if significand == 1 << 31:
            significand //= 2
            shift += 1
        if shift < -31:
            return cls(0, 0)
        if shift > 30:
            return cls(INT32_MAX, 30)
        return cls(significand, shift)


class Multipliers:
    """The multipliers of an operator: one for all channels, or one for each channel.

    Attributes:
        each: the multipliers.
        significands, shifts: the same as arrays (1,) or (channels,).
        left, right: how far each shifts to the left, and to the right.
    """

    def __init__(self, each: Sequence[Multiplier]) -> None:
        self.each = tuple(each)
        self.significands = np.array([m.significand for m in each], np.int64)
        self.shifts = np.array([m.shift for m in each], np.int64)
        self.right = np.maximum(-self.shifts, 0)
        self.left = np.maximum(self.shifts, 0)

    def apply(self, x: Ints) -> Ints:
        """`x` (..., channels) times the numbers.

        The steps are a left shift that wraps like 32-bit integers, the multiplication, and a rounding right shift.
        """
        shifted = _wrap(np.asarray(x, np.int64) << self.left)
        return rounding_shift(doubling_high_mul(shifted, self.significands), self.right)


def _wrap(x: Ints) -> Ints:
    return ((x + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
