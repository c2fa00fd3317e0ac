"""Gathers what each test found on each board while the run goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bundled import SUITES
from tfm_harness.errors import Responsibility
from tfm_harness.findings import Report, Status
from tfm_harness.parity.tolerance import tolerance_use
from tfm_harness.plugin.exit_codes import EXIT_BENCH
from tfm_harness.plugin.run_files import combination_files
from tfm_harness.plugin.waivers import suites_around, waiver_state
from tfm_harness.report.record import (
    TOLERANCE,
    BoardRun,
    CheckEntry,
    FindingEntry,
    MoveEntry,
    PhaseEntry,
    ResponsibilityWord,
    TestEntry,
    TryEntry,
    WaiverEntry,
)

NOT_RUN = "not run:"
"""How the reason begins with which a test is left out of a quick run."""

__all__ = ["EXIT_BENCH", "NOT_RUN", "RunLog", "judged_findings", "word"]

_PHASES = frozenset({"setup", "call", "teardown"})


def word(responsibility: Responsibility) -> ResponsibilityWord:
    """A responsibility as records say it."""
    return cast("ResponsibilityWord", str(responsibility))


def judged_findings(report: Report) -> tuple[tuple[FindingEntry, ...], dict[str, CheckEntry]]:
    """Findings under their policy and waivers, and what their checks demand."""
    entries = []
    checks: dict[str, CheckEntry] = {}
    for finding in report:
        status = report.status(finding)
        waiver = report.waiver_for(finding) if status is Status.WAIVED else None
        if finding.id not in checks:
            checks[finding.id] = CheckEntry(finding.check.title, finding.check.requirement)
        entries.append(
            FindingEntry(
                id=finding.id,
                status=status.value,
                severity=finding.check.severity(report.policy).label,
                expected=finding.expected,
                seen=finding.seen,
                where=finding.where,
                subject=finding.subject,
                waiver=waiver.reason if waiver else "",
                waived_by=waiver.finding if waiver else "",
            )
        )
    return tuple(entries), checks


@dataclass(slots=True)
class _Test:
    """A test while it runs: its entry so far."""

    entry: TestEntry
    findings: list[FindingEntry] = field(default_factory=list)
    ended: bool = False


class RunLog:
    """Gathers test reports and boards.

    Attributes:
        collected: ids of the tests that were chosen.
        places: combination and suite of each of them. The id of a test outside pytest's rootdir (the suites of an
            installed wheel) has no folder, and so does not tell its suite.
        left_out: tests that the user left out, by combination and suite, with their ids.
        suites: folder of each suite that takes part.
        interrupted: the signal that ended the run before its end.
        files: what was flashed and what judged it, by combination.
    """

    def __init__(self, combinations: Sequence[TargetBuild]) -> None:
        self.combinations = combinations
        self.files = {combination.name: combination_files(combination) for combination in combinations}
        self.boards: dict[tuple[str, str], BoardRun] = {}
        self.moves: list[MoveEntry] = []
        self.checks: dict[str, CheckEntry] = {}
        self.collected: dict[str, None] = {}
        self.places: dict[str, tuple[str, str]] = {}
        self.left_out: dict[str, tuple[str, str]] = {}
        self.suites: dict[str, Path] = {}
        self.interrupted = ""
        self.began = time.time()
        self._tests: dict[str, _Test] = {}

    # -- boards

    def keep_board(self, run: BoardRun) -> None:
        """What is known about a board now; replaces what was known before."""
        self.boards[run.board.combination, run.board.name] = run

    def merge_board(self, run: BoardRun) -> None:
        """Another test process's share of a board: figures add up, lists are put together."""
        before = self.boards.get((run.board.combination, run.board.name))
        if before is not None:
            board = replace(
                run.board,
                lost=before.board.lost or run.board.lost,
                firmware=run.board.firmware or before.board.firmware,
                boots=before.board.boots + run.board.boots,
                device_seconds=before.board.device_seconds + run.board.device_seconds,
                events=(*before.board.events, *run.board.events),
                transcripts=(*before.board.transcripts, *run.board.transcripts),
            )
            run = BoardRun(
                board=board,
                latency=(*before.latency, *run.latency),
                parity=(*before.parity, *run.parity),
                accuracy=(*before.accuracy, *run.accuracy),
                timings=(*before.timings, *run.timings),
                traces=(*before.traces, *run.traces),
                consoles=(*before.consoles, *run.consoles),
            )
        self.keep_board(run)

    # -- tests

    def add(self, report: pytest.TestReport, phase: PhaseEntry) -> None:
        """Take one phase's report of a test."""
        test = self._tests.get(report.nodeid)
        if test is None:
            test = self._tests[report.nodeid] = _Test(TestEntry(nodeid=report.nodeid))
        entry = test.entry
        for name, check in phase.checks.items():
            self.checks.setdefault(name, check)
        test.findings += phase.findings
        entry = replace(
            entry,
            combination=phase.combination or entry.combination,
            board=phase.board or entry.board,
            suite=phase.suite or entry.suite,
            seconds=entry.seconds + report.duration,
        )
        outcome = str(report.outcome)
        if outcome in {"rerun", "moved"}:
            test.entry = _tried(entry, report, phase, test.findings)
            test.findings = []
            return
        if phase.blocked_by:
            entry = replace(
                entry,
                outcome="blocked",
                responsibility=phase.responsibility,
                kind=phase.kind,
                blocked_by=phase.blocked_by,
                message=_reason(report),
            )
        elif report.failed and entry.outcome != "failed":
            crashed = report.when not in _PHASES  # pytest-xdist's report of a test process that died
            responsibility = phase.responsibility or ("harness" if crashed else "product")
            entry = replace(
                entry,
                outcome="failed" if responsibility == "product" else "error",
                responsibility=responsibility,
                kind=phase.kind or ("worker-crashed" if crashed else ""),
                message=_first_lines(report.longreprtext),
            )
        elif report.skipped and entry.outcome == "passed":
            reason = _reason(report)
            left_out, uncovered = reason.startswith(NOT_RUN), "not covered:" in reason
            entry = replace(
                entry, outcome="not run" if left_out else "not covered" if uncovered else "skipped", message=reason
            )
        test.entry = entry
        test.ended = test.ended or report.when == "teardown" or report.when not in _PHASES

    def entries(self) -> tuple[TestEntry, ...]:
        """Every test that was collected, in order; one that never reached its end is ``not run``."""
        found = []
        for nodeid, test in self._tests.items():
            entry = replace(test.entry, findings=tuple(test.findings))
            if not test.ended and nodeid in self.collected and entry.outcome == "passed":
                entry = replace(entry, outcome="not run", message="the run ended while this test was running")
            found.append(entry)
        found += [
            TestEntry(
                nodeid=nodeid,
                combination=combination,
                suite=suite,
                outcome="not run",
                message="the run ended before this test",
            )
            for nodeid, (combination, suite) in ((each, self._place(each)) for each in self.collected)
            if nodeid not in self._tests
        ]
        return tuple(found)

    @property
    def unfinished(self) -> int:
        """How many of the collected tests never reached their end."""
        return sum(nodeid not in self._tests or not self._tests[nodeid].ended for nodeid in self.collected)

    def _place(self, nodeid: str) -> tuple[str, str]:
        """Combination and suite; guessed where a test process ended before it told them."""
        if nodeid in self.places:
            return self.places[nodeid]
        case = nodeid.partition("[")[2]
        return next((each.name for each in self.combinations if each.name in case), ""), _folder(nodeid)

    # -- waivers

    def waivers(self, tests: Sequence[TestEntry]) -> Iterable[WaiverEntry]:
        """What became of each waiver: one that matched nothing is an error, where it could have been seen."""
        complete = self._complete(tests)
        suites = suites_around(self.suites, SUITES) if any(c.build.waivers for c in self.combinations) else {}
        for combination in self.combinations:
            own = [test for test in tests if test.combination == combination.name]
            left_out = [(of, nodeid) for nodeid, (on, of) in self.left_out.items() if on in {combination.name, ""}]
            for waiver in combination.build.granted():
                yield WaiverEntry(
                    combination=combination.name,
                    finding=waiver.finding,
                    reason=waiver.reason,
                    where=waiver.where,
                    state=waiver_state(waiver, own, left_out=left_out, suites=suites, complete=complete),
                )
            sessions = [
                {"comparison": {"model": entry.model, "outputs": [_plain(o) for o in entry.outputs]}}
                for (name, _), run in self.boards.items()
                if name == combination.name
                for entry in run.parity
            ]
            for tolerance in combination.build.parity.granted(combination.build.document):
                yield WaiverEntry(
                    combination=combination.name,
                    finding=f"{TOLERANCE}{tolerance.name}",
                    reason=tolerance.reason,
                    where=tolerance.where,
                    state=cast("Any", tolerance_use(tolerance, sessions, list(combination.build.models))),
                )

    def _complete(self, tests: Sequence[TestEntry]) -> bool:
        """Whether every bundled suite ran with nothing left out: then each waiver must have matched."""
        bundled = {test.outcome for test in tests if test.suite in SUITES}
        return self.suites.keys() >= set(SUITES) and not self.left_out and bundled == {"passed"}


def _tried(entry: TestEntry, report: pytest.TestReport, phase: PhaseEntry, findings: list[FindingEntry]) -> TestEntry:
    """The entry of a test that begins once more."""
    earlier = TryEntry(
        why=cast("Any", str(report.outcome)),
        outcome="failed" if phase.responsibility in {"", "product"} else "error",
        board=entry.board,
        responsibility=phase.responsibility,
        kind=phase.kind,
        seconds=entry.seconds,
        message=_first_lines(report.longreprtext),
        findings=tuple(findings),
    )
    return TestEntry(
        nodeid=entry.nodeid,
        combination=entry.combination,
        suite=entry.suite,
        tries=(*entry.tries, earlier),
    )


def _plain(output: object) -> Mapping[str, object]:
    return {name: getattr(output, name) for name in ("tolerance", "exact_elements", "elements")}


def _folder(nodeid: str) -> str:
    return Path(nodeid.partition("::")[0]).parent.name


def _reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return reason.removeprefix("Skipped: ")


def _first_lines(text: str, count: int = 30) -> str:
    return "\n".join(text.splitlines()[:count])


def responsibilities(tests: Iterable[TestEntry]) -> Counter[str]:
    """How many tests did not pass by whose responsibility; blocked tests share their cause's and are not counted."""
    return Counter(test.responsibility for test in tests if test.responsibility and test.outcome != "blocked")
