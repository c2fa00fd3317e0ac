"""Order statistics, bootstrap intervals and the rank test of the regression gate.

Outliers stay: only declared warm-ups are discarded. Percentiles are nearest-rank (a value that really
occurred). The rank test is Mann and Whitney (1947) with the tie-corrected normal approximation
(Lehmann, Nonparametrics, 1.2), used for at least 8 values a side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = [
    "STATISTICS",
    "Statistics",
    "bootstrap_median",
    "bootstrap_ratio",
    "mann_whitney_greater",
    "mid_ranks",
    "percentile",
    "summarise",
]

STATISTICS: Final = frozenset({"min", "median", "p90", "p99", "max", "mean"})
"""The names of the statistics that a budget can limit."""

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Statistics:
    """Summary of a series, in the series' unit.

    Attributes:
        mad: median absolute deviation from the median (unscaled).
        ci_low, ci_high: 99 % bootstrap interval of the median.
    """

    n: int
    min: float
    median: float
    p90: float
    p99: float
    max: float
    mean: float
    mad: float
    ci_low: float
    ci_high: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def scaled(self, factor: float) -> Statistics:
        """The same statistics in another unit."""
        return Statistics(self.n, *(v * factor for v in list(asdict(self).values())[1:]))

    def get(self, statistic: str) -> float:
        """The statistic with one of the names in `STATISTICS`."""
        if statistic not in STATISTICS:
            raise ValueError(f"no statistic is called {statistic!r}")
        return float(getattr(self, statistic))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of ascending values: the ceil(share * n)-th."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summarise(values: Sequence[float], *, seed: int = 0, confidence: float = 0.99) -> Statistics:
    """Summarise at least one value. The bootstrap is seeded: the same values give the same interval.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    import numpy as np

    data = np.asarray(values, dtype=np.float64)
    if not data.size or not np.isfinite(data).all():
        raise ValueError("statistics need at least one value and only finite ones")
    ordered = sorted(float(v) for v in data)
    middle = float(np.median(data))
    low, high = bootstrap_median(data, seed=seed, confidence=confidence)
    return Statistics(
        n=len(ordered),
        min=ordered[0],
        median=middle,
        p90=percentile(ordered, 0.90),
        p99=percentile(ordered, 0.99),
        max=ordered[-1],
        mean=float(data.mean()),
        mad=float(np.median(np.abs(data - middle))),
        ci_low=low,
        ci_high=high,
    )


def bootstrap_median(values: npt.ArrayLike, *, seed: int = 0, confidence: float = 0.99) -> tuple[float, float]:
    """Percentile-bootstrap interval of the median."""
    import numpy as np

    medians = _resampled_medians(np.asarray(values, dtype=np.float64), np.random.default_rng(seed))
    tail = (1 - confidence) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_ratio(
    current: npt.ArrayLike, baseline: npt.ArrayLike, *, seed: int = 0, confidence: float = 0.99
) -> tuple[float, float]:
    """Percentile-bootstrap interval of median(current) / median(baseline)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    above = _resampled_medians(np.asarray(current, dtype=np.float64), rng)
    below = _resampled_medians(np.asarray(baseline, dtype=np.float64), rng)
    tail = (1 - confidence) / 2
    low, high = np.quantile(above / below, [tail, 1 - tail])
    return float(low), float(high)


def mid_ranks(values: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.intp]]:
    """The rank of each value from 1 on, with the mean rank for ties; and the number of values at each rank."""
    import numpy as np

    _, inverse, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse], counts


def mann_whitney_greater(current: npt.ArrayLike, baseline: npt.ArrayLike) -> float:
    """One-sided p-value: the probability that `current` ranks this high if both come from one distribution."""
    import numpy as np

    x, y = np.asarray(current, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    n, m = len(x), len(y)
    ranks, counts = mid_ranks(np.concatenate([x, y]))
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    total = n + m
    ties = float((counts.astype(np.float64) ** 3 - counts).sum()) / (total * (total - 1))
    variance = n * m / 12 * (total + 1 - ties)
    if variance <= 0:  # all values equal: no evidence of anything
        return 1.0
    z = (u - n * m / 2 - 0.5) / math.sqrt(variance)  # continuity correction
    return 0.5 * math.erfc(z / math.sqrt(2))


def _resampled_medians(data: Floats, rng: np.random.Generator) -> Floats:
    import numpy as np

    if (data == data[0]).all():
        return np.full(RESAMPLES, data[0])
    picks = rng.integers(0, len(data), (RESAMPLES, len(data)))
    return np.asarray(np.median(data[picks], axis=1), dtype=np.float64)
