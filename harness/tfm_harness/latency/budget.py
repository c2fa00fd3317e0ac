"""Budgets of a build's YAML, which are judged only on a clock that is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tfm_harness.findings import Report
from tfm_harness.latency import catalogue
from tfm_harness.latency.series import Series
from tfm_harness.latency.statistics import Statistics, summarise

__all__ = ["Budget", "check_budget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The longest time a statistic may take.

    Attributes:
        model: ``fnmatch`` pattern of series names.
        statistic: ``min``, ``median``, ``p90``, ``p99``, ``max`` or ``mean``.
        seconds: the limit.
        where: file and line that set it.
    """

    model: str
    seconds: float
    statistic: str = "p99"
    where: str = ""

    def covers(self, name: str) -> bool:
        """Whether the budget covers that series."""
        return fnmatchcase(name, self.model)


def check_budget(
    series: Series, budget: Budget, report: Report, *, statistics: Statistics | None = None
) -> bool | None:
    """Judge one budget.

    Args:
        statistics: of `series.seconds`, when already computed.

    Returns:
        The verdict; None when this clock is not good enough for one (a note reports that).
    """
    quality = series.clock.quality
    if not report.add(
        catalogue.BUDGET_JUDGED,
        quality.carries_budget,
        expected="a cycle-exact clock",
        seen=f"{series.clock.source}: {quality.note}; budget of {budget.seconds * 1e3:g} ms not judged",
        where=budget.where,
        subject=series.name,
    ):
        return None
    found = (statistics or summarise(series.seconds)).get(budget.statistic)
    return report.add(
        catalogue.BUDGET,
        found <= budget.seconds,
        expected=f"{budget.statistic} at most {budget.seconds * 1e3:g} ms",
        seen=f"{budget.statistic} {found * 1e3:.6g} ms over {len(series.ticks)} inferences",
        where=budget.where,
        subject=series.name,
    )
