"""The edges of the arithmetic that a vector reaches: cases in which a slightly wrong kernel gives another number.

Wrong kernels in practice: halves are rounded up or toward zero instead of away from zero, there is one rounding in
place of two, wrapping in place of clamping, an accumulator of 16 bits, or the multiplier of another channel. A set of
vectors that never reaches such an edge cannot distinguish them from a right kernel.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

import numpy as np

from tfm_harness.parity.numpy_reference.fixed_point import Ints, Multipliers, doubling_high_mul

__all__ = ["EDGES", "WATCH", "Watch"]

EDGES: Final = (
    "clamped low", "clamped high", "zero point", "positive tie", "negative tie", "double rounding", "fraction dropped",
    "accumulator over 16 bits", "last channel", "softmax tail", "softmax peak",
)  # fmt: skip
"""Names of the edges, in the order of the columns of `Watch.hit`."""

_LOW, _HIGH, _ZERO, _TIE, _NEGATIVE_TIE, _DOUBLE, _FRACTION, _WIDE, _LAST, _TAIL, _PEAK = range(len(EDGES))


class Watch:
    """Collects the edges of one inference.

    Attributes:
        hit: (operators, edges): 1 where the edge was reached, 2 where the operator has no such edge.
        op: number of the operator that runs.
    """

    def __init__(self, operators: int) -> None:
        self.hit = np.full((operators, len(EDGES)), 2, np.uint8)
        self.op = 0

    def _note(self, edge: int, reached: object) -> None:
        self.hit[self.op, edge] = bool(np.any(np.asarray(reached)))

    def requantised(self, sums: Ints, multipliers: Multipliers, zero: int, limits: tuple[int, int]) -> None:
        """Note the edges that accumulators (..., channels) reach when they are requantised to int8."""
        scaled = multipliers.apply(sums)
        output = _clip(scaled, zero, limits)
        self._note(_LOW, scaled + zero < limits[0])
        self._note(_HIGH, scaled + zero > limits[1])
        self._note(_ZERO, scaled == 0)
        self._note(_WIDE, np.abs(sums) > 0x7FFF)
        if (multipliers.shifts < 0).any():
            tie, high = _ties(multipliers, sums)
            self._note(_TIE, tie & (high > 0))
            self._note(_NEGATIVE_TIE, tie & (high < 0))
            product, shift = np.asarray(sums, np.int64) * multipliers.significands, 31 - multipliers.shifts
            once = (product + (np.int64(1) << (shift - 1))) >> shift  # with only one rounding, halves up
            self._note(_DOUBLE, _clip(once, zero, limits) != output)
            self._note(_FRACTION, _clip(product >> shift, zero, limits) != output)
        each = multipliers.each
        if len(each) > 1 and each[-1] != each[-2]:
            wrong = Multipliers(each[-2:-1]).apply(sums[..., -1])
            self._note(_LAST, _clip(wrong, zero, limits) != output[..., -1])

    def softmaxed(self, output: Ints) -> None:
        """Note the edges that an output of SOFTMAX reaches."""
        self._note(_TAIL, output == -128)
        self._note(_PEAK, output == 127)


WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)
"""The collector of the current inference; operators report to it."""


def _clip(scaled: Ints, zero: int, limits: tuple[int, int]) -> Ints:
    clipped: Ints = np.clip(scaled + zero, *limits)
    return clipped


def _ties(multipliers: Multipliers, x: Ints) -> tuple[Ints, Ints]:
    """Flags where the last shift must round an exact half, and the numbers before that shift."""
    high = doubling_high_mul(np.asarray(x, np.int64) << multipliers.left, multipliers.significands)
    right = multipliers.right
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), -1)  # no shift: mask 0, never equal to -1
    return (high & ((np.int64(1) << right) - 1)) == half, high
