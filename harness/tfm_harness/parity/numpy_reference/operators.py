"""The operators, each a function of its options, tensors and quantisation; int8 in, int8 out.

Shapes are NHWC. Sources: TFLite's 8-bit quantization specification (operator by operator), and its padding rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tfm_harness.parity.numpy_reference.edges import WATCH
from tfm_harness.parity.numpy_reference.fixed_point import (
    Ints,
    Multiplier,
    Multipliers,
    doubling_high_mul,
    rounding_shift,
)

__all__ = [
    "Activation",
    "Window",
    "add",
    "average_pool",
    "clamp_range",
    "convolution",
    "depthwise_convolution",
    "fully_connected",
    "max_pool",
    "mean",
    "pad",
]

INT8_MIN, INT8_MAX = -128, 127


class Activation:
    """Fused activations, by their numbers in the schema."""

    NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3


def clamp_range(activation: int, scale: float, zero_point: int) -> tuple[int, int]:
    """The range of quantised values that a fused activation allows."""
    low, high = {
        Activation.NONE: (None, None),
        Activation.RELU: (0.0, None),
        Activation.RELU_N1_TO_1: (-1.0, 1.0),
        Activation.RELU6: (0.0, 6.0),
    }[activation]

    def quantised(real: float) -> int:
        value = float(np.float32(real) / np.float32(scale))
        return zero_point + int(math.copysign(math.floor(abs(value) + 0.5), value))

    least = INT8_MIN if low is None else max(INT8_MIN, quantised(low))
    most = INT8_MAX if high is None else min(INT8_MAX, quantised(high))
    return least, most


@dataclass(frozen=True, slots=True)
class Window:
    """The positions of a filter or pool along height or width.

    Attributes:
        size, stride, dilation: of the filter.
        before: elements of padding in front.
        out: the number of positions.
    """

    size: int
    stride: int
    dilation: int
    before: int
    out: int

    @classmethod
    def of(cls, extent: int, size: int, stride: int, dilation: int, *, same: bool) -> Window:
        """The positions for an extent of the input and a kind of padding."""
        reach = (size - 1) * dilation + 1
        out = -(-extent // stride) if same else (extent + stride - reach) // stride
        missing = max((out - 1) * stride + reach - extent, 0) if same else 0
        return cls(size, stride, dilation, missing // 2, max(out, 0))

    def taps(self, extent: int) -> tuple[Ints, Ints]:
        """The place of each filter element in the input, and whether it is inside: (out, size) each."""
        at = np.arange(self.out)[:, None] * self.stride - self.before + np.arange(self.size) * self.dilation
        return np.clip(at, 0, extent - 1), (at >= 0) & (at < extent)


@lru_cache(maxsize=256)
def _taps(rows: Window, columns: Window, height: int, width: int) -> tuple[Ints, Ints, Ints]:
    """Indices of rows and columns under a filter, and the places in the padding, that broadcast to a patch's shape."""
    (row, in_row), (column, in_column) = rows.taps(height), columns.taps(width)
    outside = ~(in_row[:, None, :, None] & in_column[None, :, None, :])
    return row[:, None, :, None], column[None, :, None, :], outside


def _patches(x: Ints, rows: Window, columns: Window, outside: int) -> Ints:
    """(n, out rows, out columns, filter rows, filter columns, channels); `outside` where padding lies."""
    at_row, at_column, padding = _taps(rows, columns, x.shape[1], x.shape[2])
    found: Ints = x[:, at_row, at_column]
    found[:, padding] = outside
    return found


def _requantise(accumulated: Ints, multipliers: Multipliers, zero_point: int, limits: tuple[int, int]) -> Ints:
    """Accumulators (..., channels) to int8, with one multiplier for all channels or one for each."""
    if (watch := WATCH.get()) is not None:
        watch.requantised(accumulated, multipliers, zero_point, limits)
    clipped: Ints = np.clip(multipliers.apply(accumulated) + zero_point, *limits)
    return clipped


def convolution(
    x: Ints,
    weights: Ints,
    bias: Ints,
    *,
    windows: tuple[Window, Window],
    input_zero: int,
    multipliers: Multipliers,
    output_zero: int,
    limits: tuple[int, int],
) -> Ints:
    """CONV_2D: `weights` (out channels, rows, columns, in channels), `bias` (out channels)."""
    patches = _patches(x, *windows, input_zero) - input_zero
    sums = np.tensordot(patches, weights, axes=([3, 4, 5], [1, 2, 3])) + bias
    return _requantise(sums, multipliers, output_zero, limits)


def depthwise_convolution(
    x: Ints,
    weights: Ints,
    bias: Ints,
    *,
    windows: tuple[Window, Window],
    input_zero: int,
    multipliers: Multipliers,
    output_zero: int,
    limits: tuple[int, int],
) -> Ints:
    """DEPTHWISE_CONV_2D: `weights` (1, rows, columns, channels); channel c reads input channel c // multiplier."""
    depth_multiplier = weights.shape[3] // x.shape[3]
    patches = np.repeat(_patches(x, *windows, input_zero) - input_zero, depth_multiplier, axis=5)
    sums = (patches * weights[0]).sum(axis=(3, 4)) + bias
    return _requantise(sums, multipliers, output_zero, limits)


def fully_connected(
    x: Ints,
    weights: Ints,
    bias: Ints,
    *,
    input_zero: int,
    weights_zero: int,
    multipliers: Multipliers,
    output_zero: int,
    limits: tuple[int, int],
) -> Ints:
    """FULLY_CONNECTED: `x` (n, depth), `weights` (units, depth), `bias` (units)."""
    sums = (x - input_zero) @ (weights - weights_zero).T + bias
    return _requantise(sums, multipliers, output_zero, limits)


def average_pool(x: Ints, *, windows: tuple[Window, Window], limits: tuple[int, int]) -> Ints:
    """AVERAGE_POOL_2D: the mean of the elements inside the input, rounded to nearest, halves away from zero."""
    total = _patches(x, *windows, 0).sum(axis=(3, 4))
    count = _patches(np.ones((1, *x.shape[1:3], 1), np.int64), *windows, 0).sum(axis=(3, 4))
    return np.clip(_rounded_division(total, count), *limits)


def max_pool(x: Ints, *, windows: tuple[Window, Window], limits: tuple[int, int]) -> Ints:
    """MAX_POOL_2D: the largest element inside the input."""
    largest: Ints = np.clip(_patches(x, *windows, INT8_MIN).max(axis=(3, 4)), *limits)
    return largest


def _rounded_division(total: Ints, count: Ints) -> Ints:
    half = count // 2
    magnitude = (np.abs(total) + half) // count
    rounded: Ints = np.where(total > 0, magnitude, -magnitude)
    return rounded


def add(
    a: Ints,
    b: Ints,
    *,
    scales: tuple[float, float, float],
    zeros: tuple[int, int, int],
    limits: tuple[int, int],
) -> Ints:
    """ADD with broadcasting: both inputs are brought to twice the larger scale with 20 more bits, then summed."""
    bits = 20
    twice = 2.0 * max(scales[0], scales[1])
    sums: Ints = np.zeros(1, np.int64)
    for values, scale, zero in ((a, scales[0], zeros[0]), (b, scales[1], zeros[1])):
        multiplier = Multiplier.of(scale / twice)
        shifted = (values - zero) << bits
        sums = sums + rounding_shift(doubling_high_mul(shifted, multiplier.significand), -multiplier.shift)
    multiplier = Multiplier.of(twice / ((1 << bits) * scales[2]))
    if (watch := WATCH.get()) is not None:
        watch.requantised(sums, Multipliers([multiplier]), zeros[2], limits)
    output = rounding_shift(doubling_high_mul(sums, multiplier.significand), -multiplier.shift) + zeros[2]
    clipped: Ints = np.clip(output, *limits)
    return clipped


def mean(x: Ints, axes: tuple[int, ...], *, scales: tuple[float, float], zeros: tuple[int, int]) -> Ints:
    """MEAN over `axes`: the sum, times the ratio of scales, divided by the count in the multiplier's significand."""
    count = math.prod(x.shape[axis] for axis in axes)
    total = x.sum(axis=axes, keepdims=True) - count * zeros[0]
    real = Multiplier.of(scales[0] / scales[1])
    shift = min(count.bit_length() - 1, 32, 31 + real.shift)
    multipliers = Multipliers([Multiplier((real.significand << shift) // count, real.shift - shift)])
    if (watch := WATCH.get()) is not None:
        watch.requantised(total, multipliers, zeros[1], (INT8_MIN, INT8_MAX))
    clipped: Ints = np.clip(multipliers.apply(total) + zeros[1], INT8_MIN, INT8_MAX)
    return clipped


def pad(x: Ints, widths: Sequence[tuple[int, int]], value: int) -> Ints:
    """PAD with the quantised zero, or PADV2's value."""
    padded: Ints = np.pad(x, widths, constant_values=value)
    return padded
