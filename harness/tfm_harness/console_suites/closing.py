"""Checks at the end of a suite or a run: its own statements, its counts and its cases must agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from tfm_harness.console_suites.grammar import OpenSuite
from tfm_harness.console_suites.model import Case, Expectations, Outcome, Problem

__all__ = ["count_problems", "disagreements", "kind_of", "run_problems", "suite_problems"]


def suite_problems(suite: OpenSuite) -> list[Problem]:
    """Compare an ended suite's own statements with its cases."""
    failed, name, where = suite.count(Outcome.FAILED), suite.name, suite.end_line
    found: list[Problem] = []
    if not suite.cases:
        found.append(Problem("suite-empty", f"suite {name!r} ended without a single case", where))
    if suite.declared is Outcome.FAILED:
        if failed:
            found.append(Problem("suite-failed", f"suite {name!r} failed", where))
        else:
            # If every case was seen and none failed, it is a contradiction; else the failed case was not understood.
            kind = "contradiction" if suite.cases and not suite.lost else "suite-failed"
            found.append(Problem(kind, f"suite {name!r} says it failed; no failed case was seen", where))
    elif suite.declared is Outcome.PASSED and failed:
        found.append(Problem("contradiction", f"suite {name!r} says it passed, {failed} of its cases failed", where))
    found.extend(count_problems(suite, suite.counts, where))
    return found


def count_problems(suite: OpenSuite, counts: Mapping[str, int], where: int | None) -> list[Problem]:
    """Compare numbers that a suite prints about itself, before or after its end, with its cases."""
    seen = {
        "passed": suite.count(Outcome.PASSED),
        "failed": suite.count(Outcome.FAILED),
        "skipped": suite.count(Outcome.SKIPPED),
        "total": len(suite.cases),
    }
    differ = disagreements(counts, seen, suite)
    return [
        Problem(kind_of(differ), f"suite {suite.name!r} counts {told} {what} cases, {here} were seen", where)
        for what, told, here in differ
    ]


_TOTALS = {"total", "tests"}
_FAILURES = {"fail", "failed", "sim error"}


def kind_of(differ: Sequence[tuple[str, int, int]]) -> str:
    """The kind of problem that such `disagreements` are.

    If the device counts more cases than were seen, its numbers agree with each other and no failure is among them, then
    the output of these cases is lost or was never printed: they are neither proven nor reported as failed.
    """
    more = {what: told - here for what, told, here in differ}
    total = sum(number for what, number in more.items() if what in _TOTALS)
    rest = sum(number for what, number in more.items() if what not in _TOTALS)
    missing = all(number > 0 for number in more.values()) and not _FAILURES & more.keys() and total == rest
    return "cases-missing" if missing else "count-disagrees"


def disagreements(told: Mapping[str, int], seen: Mapping[str, int], *suites: OpenSuite) -> list[tuple[str, int, int]]:
    """The suite's own numbers that differ from the numbers seen: name, told, seen.

    A damaged line loses one outcome, so that the suite may count one more than was seen. The lost outcome is already
    reported: its effect on the counts is not a second finding, and does not change the responsibility. A failure that
    is counted but was not seen is always a disagreement.
    """
    differ = [(what, number, seen[what]) for what, number in told.items() if what in seen and number != seen[what]]
    lost, orphans = sum(suite.lost for suite in suites), sum(suite.orphans for suite in suites)
    more = [number - here for what, number, here in differ if what not in _TOTALS]
    explained = (
        all(number > here for _, number, here in differ)
        and sum(more) <= lost
        and all(number - here <= orphans for what, number, here in differ if what in _TOTALS)
        and not any(what in _FAILURES for what, _, _ in differ)
    )
    return [] if explained else differ


def run_problems(
    suites: Sequence[OpenSuite], cases: Sequence[Case], wanted: Expectations, *, started: bool
) -> list[Problem]:
    """Problems of the whole run's cases, and of the user's expectations."""
    found = [
        Problem("case-failed", f"{case.id}: {case.detail[0] if case.detail else 'failed'}", case.end_line)
        for case in cases
        if case.outcome is Outcome.FAILED
    ]
    found.extend(
        Problem("missing-suite", f"suite {name!r} was expected and never seen")
        for name in wanted.suites
        if not any(_is_called(suite, name) for suite in suites)
    )
    ran = sum(case.outcome in {Outcome.PASSED, Outcome.FAILED} for case in cases)
    if ran < wanted.min_cases:
        found.append(Problem("too-few-cases", f"{ran} cases ran, at least {wanted.min_cases} were expected"))
    skipped = [case for case in cases if case.outcome is Outcome.SKIPPED]
    if skipped and not wanted.allow_skipped:
        found.append(
            Problem(
                "skipped",
                f"{len(skipped)} of {len(cases)} cases were skipped, the first is {skipped[0].id}",
                skipped[0].end_line,
                "allow skipped cases where they are known not to apply (--allow-skipped, allow_skipped in the build)",
            )
        )
    if started and not ran and not any(case.outcome is Outcome.INCOMPLETE for case in cases) and not wanted.min_cases:
        found.append(Problem("too-few-cases", "not one case ran"))
    return found


def _is_called(suite: OpenSuite, wanted: str) -> bool:
    """Whether a suite matches: by area, name, the id in the name's brackets, or a shell pattern over the name."""
    return wanted in {suite.area, suite.name} or suite.name.endswith(f"({wanted})") or fnmatchcase(suite.name, wanted)
