"""Tests whether a time depends on a value, by dudect's method: Welch's t between two classes of inputs. Pure.

Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?" (DATE 2017). One class has a fixed input, the other has
random inputs; the next class is drawn at random each time. The t statistic is taken of the raw times, of times cropped
at percentiles (interrupts lengthen times in the tail) and of the second order (centred squares).

The times are those of the device's own counter. If an emulator counts instructions, only instructions are measured:
this shows branches and early ends, but no effects of caches, flash and buses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tfm_harness.findings import Check, Report

__all__ = ["CERTAIN", "LEAST_MEASUREMENTS", "SUSPICIOUS", "Dudect", "check_dudect", "dudect"]

LEAST_MEASUREMENTS: Final = 10_000
"""The fewest measurements of both classes together; with fewer there is no verdict."""
SUSPICIOUS: Final = 4.5
CERTAIN: Final = 10.0
_CROPS: Final = 20
_LEAST_OF_A_CROP: Final = LEAST_MEASUREMENTS // 2
_LEAST_OF_A_CLASS: Final = LEAST_MEASUREMENTS // 4


@dataclass(frozen=True, slots=True)
class Dudect:
    """The outcome.

    Attributes:
        fixed, random: number of measurements of each class.
        raw: t of all times; positive when the fixed class takes longer. Infinite when neither class varies and they
            differ.
        cropped: (share of the times that was kept, t), the largest share first.
        second: t of the second order.
        means: of the two classes, in ticks.
    """

    fixed: int
    random: int
    raw: float
    cropped: tuple[tuple[float, float], ...]
    second: float
    means: tuple[float, float]

    @property
    def enough(self) -> bool:
        """Whether there are enough measurements for a verdict."""
        return self.fixed + self.random >= LEAST_MEASUREMENTS and min(self.fixed, self.random) >= _LEAST_OF_A_CLASS

    @property
    def tests(self) -> tuple[tuple[str, float], ...]:
        """Each test's name and its t, in the order of a plot."""
        return (("raw", self.raw), *((f"{share:.1%}", t) for share, t in self.cropped), ("2nd", self.second))

    @property
    def worst(self) -> float:
        """The largest of all |t|."""
        return max(abs(t) for _, t in self.tests)

    def __str__(self) -> str:
        largest = max(self.cropped, key=lambda pair: abs(pair[1]), default=(1.0, self.raw))
        return (
            f"t {self.raw:+.2f} raw, {largest[1]:+.2f} of the lowest {largest[0]:.0%}, {self.second:+.2f} second order;"
            f" {self.fixed} fixed, {self.random} random; means {self.means[0]:.1f} and {self.means[1]:.1f} ticks"
        )


def dudect(fixed: Sequence[float], random: Sequence[float], *, batch: int = 1) -> Dudect:
    """The t statistics of two classes of times, in ticks.

    Args:
        fixed, random: times of the two classes.
        batch: so many times in a row were measured together, and may have the same error: a counter slower than the CPU
            rounds all of them down if they begin at the same phase. Then the differences between batches count, and
            not the number of times in them.

    Raises:
        ValueError: a class has fewer than two times, or one that is not finite; no positive `batch`.
    """
    import numpy as np

    first, second = np.asarray(fixed, dtype=np.float64), np.asarray(random, dtype=np.float64)
    if min(first.size, second.size) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("each class needs two times at least, and finite ones")
    if batch < 1:
        raise ValueError(f"batches of {batch}")
    of_first, of_second = np.arange(first.size) // batch, np.arange(second.size) // batch
    both = np.sort(np.concatenate((first, second)))
    cropped: list[tuple[float, float]] = []
    for step in range(_CROPS):
        share = 1 - 0.5 ** (10 * (_CROPS - step) / _CROPS)  # dudect's, from nearly all down to 30 %
        limit = both[min(both.size - 1, math.ceil(share * both.size) - 1)]
        low, high = first <= limit, second <= limit
        kept = int(low.sum()), int(high.sum())
        if sum(kept) >= _LEAST_OF_A_CROP and min(kept) >= 2:
            cropped.append((share, _welch(first[low], second[high], of_first[low], of_second[high])))
    return Dudect(
        fixed=int(first.size),
        random=int(second.size),
        raw=_welch(first, second, of_first, of_second),
        cropped=tuple(cropped),
        second=_welch((first - first.mean()) ** 2, (second - second.mean()) ** 2, of_first, of_second),
        means=(float(first.mean()), float(second.mean())),
    )


def _welch(left: object, right: object, left_batches: object, right_batches: object) -> float:
    """Welch's t; 0 when two constant series are equal, infinite when they differ."""
    import numpy as np

    one, two = np.asarray(left), np.asarray(right)
    difference = float(one.mean() - two.mean())
    spread = _spread(one, left_batches) + _spread(two, right_batches)
    size = max(1.0, abs(float(one.mean())))
    if spread <= 1e-18 * size**2:  # only an effect of rounding
        return 0.0 if abs(difference) <= 1e-9 * size else math.copysign(math.inf, difference)
    return difference / math.sqrt(spread)


def _spread(times: object, batches: object) -> float:
    """The variance of the mean: of independent times, or of batches (Liang and Zeger 1986) if that is larger."""
    import numpy as np

    values = np.asarray(times)
    of_batches = np.bincount(np.asarray(batches), weights=values - values.mean())
    return max(float(values.var(ddof=1)) / values.size, float((of_batches**2).sum()) / values.size**2)


def check_dudect(
    fixed: Sequence[float],
    random: Sequence[float],
    check: Check,
    report: Report,
    *,
    subject: str = "",
    batch: int = 1,
) -> Dudect:
    """Judge that a time does not depend on the class of its input.

    Args:
        fixed, random: times of the two classes, in ticks.
        check: the check to record.
        report: gets the finding.
        subject: the timed operation.
        batch: as for `dudect`.

    Raises:
        ValueError: fewer than `LEAST_MEASUREMENTS` measurements, or less than a quarter of that in a class: no verdict.
    """
    found = dudect(fixed, random, batch=batch)
    if not found.enough:
        raise ValueError(
            f"{found.fixed} and {found.random} measurements; at least {LEAST_MEASUREMENTS} are needed,"
            f" {_LEAST_OF_A_CLASS} a class"
        )
    word = "certain" if found.worst > CERTAIN else "suspicious" if found.worst > SUSPICIOUS else "even"
    report.add(
        check,
        found.worst <= SUSPICIOUS,
        expected=f"|t| at most {SUSPICIOUS} in every test",
        seen=f"|t| {found.worst:.2f}, {word}: {found}",
        subject=subject,
    )
    return found
