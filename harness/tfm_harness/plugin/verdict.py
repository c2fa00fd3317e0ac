"""The verdict of a run: from what was collected and what reached its end, not from pytest's exit status alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tfm_harness.plugin.record import EXIT_BENCH, responsibilities
from tfm_harness.report.record import RequirementEntry, TestEntry, VerdictWord, WaiverEntry

__all__ = ["EXIT_CODES", "decide_verdict"]

EXIT_CODES: Final[Mapping[VerdictWord, int]] = {
    "passed": 0,
    "failed": 1,
    "interrupted": 2,
    "harness": 3,
    "configuration": 4,
    "test": 4,
    "nothing proved": 5,
    "too little proved": 5,
    "infrastructure": EXIT_BENCH,
}
"""Exit code of each verdict."""

_OF_PYTEST: Final[Mapping[int, VerdictWord]] = {2: "interrupted", 3: "harness", 4: "configuration", 5: "nothing proved"}
_ORDER: Final[tuple[VerdictWord, ...]] = ("harness", "configuration", "test", "infrastructure")


def decide_verdict(
    pytest_status: int,
    tests: Sequence[TestEntry],
    waivers: Sequence[WaiverEntry],
    *,
    unfinished: int = 0,
    interrupted: bool = False,
    requirements: Sequence[RequirementEntry] = (),
    least_percent: float | None = None,
) -> VerdictWord:
    """The verdict in a word.

    Args:
        pytest_status: pytest's own exit status.
        tests: every collected test.
        waivers: what became of each waiver.
        unfinished: collected tests that never reached their end.
        interrupted: a signal ended the run.
        requirements: rows of the suites that took part.
        least_percent: share of `requirements` that must be proven, when the user asked for one.
    """
    if interrupted:
        return "interrupted"
    if pytest_status not in (0, 1):
        return _OF_PYTEST.get(pytest_status, "harness")
    blame = responsibilities(tests)
    if pytest_status == 1 and (blame["product"] or not blame):
        return "failed"
    for word in _ORDER:
        if blame[word]:
            return word
    if any(test.outcome == "blocked" for test in tests):
        return "infrastructure"
    if unfinished:
        return "interrupted"
    if any(waiver.state == "unused" for waiver in waivers):
        return "configuration"
    on_boards = [test for test in tests if test.combination]
    if on_boards and not any(test.outcome == "passed" for test in on_boards):
        return "nothing proved"
    proven = sum(row.state == "proven" for row in requirements)
    if least_percent is not None and 100 * proven < least_percent * max(1, len(requirements)):
        return "too little proved"
    return "passed"
