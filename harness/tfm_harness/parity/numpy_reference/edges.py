"""Which edges of the arithmetic a vector reaches: where a slightly wrong kernel would give another number.

Wrong kernels that occur: halves rounded up or toward zero instead of away from zero, one rounding in place of two,
wrapping in place of clamping, an accumulator of 16 bits, the multiplier of another channel. A set of vectors that never
reaches such an edge cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

import numpy as np

from tfm_harness.parity.numpy_reference.fixed_point import Ints, Multiplier, doubling_high_mul

__all__ = ["EDGES", "WATCH", "Watch"]

EDGES: Final = (
    "clamped low", "clamped high", "zero point", "positive tie", "negative tie", "double rounding", "fraction dropped",
    "accumulator over 16 bits", "last channel", "softmax tail", "softmax peak",
)  # fmt: skip
"""In the order of the columns of `Watch.hit`."""

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

    def requantised(self, sums: Ints, multipliers: Sequence[Multiplier], zero: int, limits: tuple[int, int]) -> None:
        """Accumulators (..., channels) on their way to int8."""
        each = [sums] if len(multipliers) == 1 else [sums[..., c] for c in range(len(multipliers))]
        scaled = [multiplier.apply(part) for multiplier, part in zip(multipliers, each, strict=True)]
        self._note(_LOW, any((part + zero < limits[0]).any() for part in scaled))
        self._note(_HIGH, any((part + zero > limits[1]).any() for part in scaled))
        self._note(_ZERO, any((part == 0).any() for part in scaled))
        self._note(_WIDE, any((np.abs(part) > 0x7FFF).any() for part in each))
        ties = [_ties(multiplier, part) for multiplier, part in zip(multipliers, each, strict=True)]
        if any(multiplier.shift < 0 for multiplier in multipliers):
            self._note(_TIE, any((tie & (high > 0)).any() for tie, high in ties))
            self._note(_NEGATIVE_TIE, any((tie & (high < 0)).any() for tie, high in ties))
            pairs = list(zip(multipliers, each, scaled, strict=True))
            self._note(
                _DOUBLE, any((_clip(_once(m, x), zero, limits) != _clip(s, zero, limits)).any() for m, x, s in pairs)
            )
            self._note(
                _FRACTION, any((_clip(_floor(m, x), zero, limits) != _clip(s, zero, limits)).any() for m, x, s in pairs)
            )
        if len(multipliers) > 1 and multipliers[-1] != multipliers[-2]:
            wrong = multipliers[-2].apply(each[-1])
            self._note(_LAST, _clip(wrong, zero, limits) != _clip(scaled[-1], zero, limits))

    def softmaxed(self, output: Ints) -> None:
        """SOFTMAX's output."""
        self._note(_TAIL, output == -128)
        self._note(_PEAK, output == 127)


WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)
"""Who looks on; operators tell it what they do."""


def _clip(scaled: Ints, zero: int, limits: tuple[int, int]) -> Ints:
    clipped: Ints = np.clip(scaled + zero, *limits)
    return clipped


def _ties(multiplier: Multiplier, x: Ints) -> tuple[Ints, Ints]:
    """Where the last shift must round exactly half, and the numbers before it."""
    high = doubling_high_mul(np.asarray(x, np.int64) << max(multiplier.shift, 0), multiplier.significand)
    right = max(-multiplier.shift, 0)
    if right == 0:
        return np.zeros(np.shape(high), bool), high
    return (high & ((1 << right) - 1)) == 1 << (right - 1), high


def _product(multiplier: Multiplier, x: Ints) -> tuple[Ints, int]:
    return np.asarray(x, np.int64) * multiplier.significand, 31 - multiplier.shift


def _once(multiplier: Multiplier, x: Ints) -> Ints:
    """One rounding, halves up, in place of two."""
    product, shift = _product(multiplier, x)
    rounded: Ints = (product + (np.int64(1) << (shift - 1))) >> shift
    return rounded


def _floor(multiplier: Multiplier, x: Ints) -> Ints:
    """No rounding at all."""
    product, shift = _product(multiplier, x)
    dropped: Ints = product >> shift
    return dropped
