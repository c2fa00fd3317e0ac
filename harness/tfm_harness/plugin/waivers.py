"""What became of each waiver: whether what it excuses was seen, and whether it could have been seen in this run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tfm_harness.coverage.suites import Test, suite_tests
from tfm_harness.errors import ConfigError
from tfm_harness.report.record import TestEntry

if TYPE_CHECKING:
    from tfm_harness.findings import Waiver

__all__ = ["WaiverState", "suites_around", "waiver_state"]

WaiverState = Literal["used", "unused", "not judged"]

_ENDED = frozenset({"passed", "failed"})


def waiver_state(
    waiver: Waiver,
    tests: Sequence[TestEntry],
    *,
    left_out: Sequence[tuple[str, str]],
    suites: Mapping[str, Sequence[Test]],
    complete: bool,
) -> WaiverState:
    """What became of a waiver.

    It matched nothing only if everything ran that could have shown what it excuses: a test that was not selected,
    or that this target, its resets or the keys that are trusted leave uncovered, may be the one that it is for.

    Args:
        waiver: of the build.
        tests: all tests of the build's combination.
        left_out: suite and id of each test that the user left out.
        suites: the tests of each suite by its name, whether it took part or not (`suites_around`).
        complete: whether every bundled suite ran with nothing left out.
    """
    findings = [finding for test in tests for finding in test.findings]
    if any(finding.status == "waived" and finding.waived_by == waiver.finding for finding in findings):
        return "used"
    if complete:
        return "unused"
    if not any(fnmatchcase(finding.id, waiver.finding) for finding in findings):
        return "not judged"
    ended = {(test.suite, _function(test.nodeid)) for test in tests if test.outcome in _ENDED}
    other = {(test.suite, _function(test.nodeid)) for test in tests if test.outcome not in _ENDED}
    other |= {(suite, _function(nodeid)) for suite, nodeid in left_out}
    judges = {
        (name, test.name)
        for name, known in suites.items()
        for test in known
        if any(fnmatchcase(check, waiver.finding) or fnmatchcase(waiver.finding, check) for check in test.checks)
    }
    return "unused" if judges <= ended - other else "not judged"


def suites_around(taking_part: Mapping[str, Path], bundled: Iterable[str]) -> dict[str, tuple[Test, ...]]:
    """The tests of the suites that take part, and of the bundled ones beside them that were not selected."""
    folders = dict(taking_part)
    for folder in taking_part.values():
        for name in bundled:
            if name not in folders and (folder.parent / name / "README.md").is_file():
                folders[name] = folder.parent / name
    found = {}
    for name, folder in folders.items():
        try:
            found[name] = suite_tests(folder)
        except (ConfigError, OSError):
            continue  # pytest has said what is wrong with it
    return found


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0].rpartition("::")[2]
