"""Connects the regression gate with the store."""

from __future__ import annotations

from dataclasses import dataclass

from tfm_harness.findings import Report
from tfm_harness.history.store import BaselineStore
from tfm_harness.latency import catalogue
from tfm_harness.latency.regression import THRESHOLD, GateResult, Night, regression_gate
from tfm_harness.latency.series import Series

__all__ = ["Judged", "judge_and_keep"]


@dataclass(frozen=True, slots=True)
class Judged:
    """The gate's verdict, and the baseline that it used."""

    result: GateResult
    baseline: Night | None


def judge_and_keep(
    store: BaselineStore, run: str, series: Series, report: Report, *, threshold: float = THRESHOLD
) -> Judged:
    """Judge a series against the store's baseline and nights, then store it under the run's name.

    A series of a clock that carries no change detection is not stored: it could never be compared.

    Raises:
        InfrastructureError: kind ``store-failed``.
    """
    baseline = store.baseline(series)
    nights = store.nights(series, before=run)
    result = regression_gate(series, baseline, report, nights=nights, threshold=threshold)
    if baseline is None and result.verdict != "not-judged":
        others = store.siblings(series)
        report.add(
            catalogue.SIBLING,
            not others,
            expected="no other board with a baseline for this model and clock, or one of its own",
            seen=f"{series.board} has no baseline, so nothing says whether it is slower; there are baselines of "
            + ", ".join(f"{board} (run {run})" for board, run in others),
            where=f"accept one: tfm-harness baseline accept {run} --name {series.name}",
            subject=series.name,
        )
    if result.verdict != "not-judged":
        store.add(run, series)
    return Judged(result, baseline)
