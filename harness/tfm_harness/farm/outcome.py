"""Conclusions from a session's result about the bench. Pure."""

from __future__ import annotations

from typing import Final

from tfm_harness.farm.health import Check
from tfm_harness.farm.tasks import SessionResult
from tfm_harness.farm.tries import ENDED, Attempt
from tfm_harness.report.headline import failing_line

__all__ = ["BUILD_CHANGED", "CUT_OFF", "DIED", "bench_failure", "busy", "golden_check", "golden_reason"]

_BUSY: Final = frozenset({"board-busy", "labgrid-busy"})
CUT_OFF: Final = ENDED
"""The trouble of a session that the night's own end cut off."""
DIED: Final = "session-died"
"""The trouble of a session that was killed, or could not write its record."""
BUILD_CHANGED: Final = "build-changed"
"""The trouble of a session that ran another build than the planned one: its results do not count."""
_NOT_THE_BOARDS: Final = frozenset({CUT_OFF, "worker-lost", BUILD_CHANGED})
"""Troubles that say nothing about the board."""


def busy(result: SessionResult) -> bool:
    """Whether somebody else held the board."""
    return any(attempt.kind in _BUSY for attempt in result.attempts.values())


def golden_check(result: SessionResult) -> Check:
    """The outcome of a golden check, from the session of the golden build.

    A golden build is known to be good: any failure with it is the bench's, even if a test reports a product failure.
    """
    if busy(result) or result.trouble in _NOT_THE_BOARDS:
        return "undecided"
    if result.trouble:
        return "failed" if result.responsibility == "infrastructure" else "undecided"
    if result.verdict == "passed":
        return "passed"
    return "failed" if result.verdict in {"failed", "infrastructure"} else "undecided"


def golden_reason(result: SessionResult) -> str:
    """The reason why the golden build did not pass, in one line."""
    first = _first(result)
    if first is not None:
        kind = f"{first.kind}: " if first.kind else ""
        return f"the golden build failed: {kind}{failing_line(first.message)}"[:500]
    return f"the golden build failed: {result.trouble or result.verdict}: {failing_line(result.headline)}"[:500]


def bench_failure(result: SessionResult) -> str:
    """The bench's failure in a session, in one line; empty when it did not fail."""
    if result.trouble:
        ours = result.responsibility == "infrastructure" and result.trouble not in _NOT_THE_BOARDS
        return f"{result.trouble}: {failing_line(result.headline)}"[:500] if ours else ""
    if result.lost:
        return result.lost[:500]
    wrong = next((one for one in result.attempts.values() if one.benchs and one.outcome == "error"), None)
    return f"{wrong.kind}: {failing_line(wrong.message)}"[:500] if wrong is not None else ""


def _first(result: SessionResult) -> Attempt | None:
    wrong = [one for one in result.attempts.values() if one.outcome in {"failed", "error"}]
    return wrong[0] if wrong else None
