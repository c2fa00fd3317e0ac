"""The outcome of a test: decided from its findings and from what it raised. Pure, so that every case is tested."""

from __future__ import annotations

import pytest

from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.errors import InfrastructureError, Responsibility
from tfm_harness.findings import Report
from tfm_harness.plugin.outcomes import FindingsFailed, classify

__all__ = ["decide"]

_NO_CONTROL = frozenset({"no-reset-control", "no-power-control"})


def decide(report: Report, error: BaseException | None, *, judges: bool) -> BaseException | None:
    """What a test that has run must raise; None: it passed.

    A failed finding is never hidden: not by a skip, and not by a failure of the bench that came later.

    Args:
        report: the test's findings, those about its board included.
        error: what the test raised, or what its board did at its end.
        judges: whether the test asked for a fixture that judges; then a test without findings has no verdict.

    Returns:
        `NotCovered` or pytest's skip: no verdict. `FindingsFailed`: the product failed a check. Else `error`.
    """
    if isinstance(error, NotCovered | pytest.skip.Exception):
        if not report.findings:
            return error
        error = None
    if isinstance(error, InfrastructureError) and error.kind in _NO_CONTROL and not report.failed:
        return NotCovered(error.message, what=error.kind)
    if error is not None and not (report.failed and classify(error).responsibility is not Responsibility.PRODUCT):
        if report.failed:
            error.add_note(str(FindingsFailed(report)))
        return error
    if report.failed or (judges and not report.findings):
        failed = FindingsFailed(report)
        failed.__cause__ = error
        return failed
    return None
