"""The rows that the store's queries return."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "BoardEvent",
    "BoardRow",
    "Cell",
    "Duration",
    "FigureRow",
    "FindingRow",
    "FirmwareRow",
    "NightRow",
    "OutcomeRow",
    "RunRow",
    "StoredIssue",
    "SuiteRow",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRow:
    """One night: number of runs, times, and number of runs with each verdict."""

    name: str
    started: dt.datetime | None
    ended: dt.datetime | None
    runs: int
    verdicts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run. `folder` holds its transcripts and ``report.html``; empty when the store does not know it."""

    id: int
    name: str
    night: str
    started: dt.datetime | None
    seconds: float
    verdict: str
    headline: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One test in one run on one combination.

    Attributes:
        test, suite: the test's node id without the combination; its suite.
        firmware: digest of the flashed firmware; empty when the record does not have it.
        passed: the number of its checks that held.
        tries: the number of tries before this outcome.
    """

    run_id: int
    run: str
    night: str
    started: dt.datetime | None
    test: str
    suite: str
    combination: str
    build: str
    board: str
    firmware: str
    outcome: str
    responsibility: str
    kind: str
    message: str
    blocked_by: str
    seconds: float
    passed: int
    tries: int
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRow:
    """A finding that is failed, waived or noted. `tried`: 0 for the outcome itself, else the earlier try's number."""

    run_id: int
    combination: str
    test: str
    check: str
    title: str
    requirement: str
    status: str
    severity: str
    expected: str
    seen: str
    where: str
    subject: str
    waiver: str
    tried: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A square of the grid: the tests of one suite on one board in one night, counted by outcome; its newest run."""

    night: str
    suite: str
    combination: str
    board: str
    outcomes: Mapping[str, int]
    run_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """The state of a suite in a run."""

    run_id: int
    night: str
    combination: str
    suite: str
    claim: str
    state: str
    passed: int
    total: int
    retried: int
    proven: int
    requirements: int
    excused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """The duration of a suite, from earlier runs.

    Attributes:
        suite: the suite; empty for a run's time around its tests (flash, boot, report).
        seconds: the median over `runs` runs.
    """

    combination: str
    suite: str
    seconds: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEvent:
    """A change of a board's health."""

    board: str
    at: dt.datetime
    health: str
    reason: str
    by: str
    night: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """A board: its health, and its outcomes and the bench's failures over the requested nights.

    Attributes:
        outcomes: the number of each outcome.
        bench_failures: the number of outcomes that were failures of the bench.
        seconds_lost: the whole time of runs in which no test reached a verdict on the board because of the bench; in
            other runs, the time of tests in which the bench failed.
    """

    name: str
    health: str
    reason: str
    since: dt.datetime | None
    checked: dt.datetime | None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    bench_failures: int = 0
    seconds_lost: float = 0.0

    @property
    def bench_share(self) -> float:
        """Share of outcomes that the bench lost, 0 to 1."""
        total = sum(self.outcomes.values())
        return self.bench_failures / total if total else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareRow:
    """Firmware, identified by the flashed files."""

    digest: str
    build: str
    said: str
    measurements: Mapping[str, str]
    files: Mapping[str, str]
    first_run: str
    first_night: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """A figure of a trend: latency (`what` is the series' name) or parity (`what` is the model)."""

    run_id: int
    run: str
    night: str
    started: dt.datetime | None
    combination: str
    board: str
    what: str
    verdict: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIssue:
    """A known issue in the store; `stored_issues` in `tfm_harness.history.judged` makes `KnownIssue` of these rows.

    Attributes:
        test, environment: shell patterns of the test's name and of the combination or the board.
        expires: from this time on the issue excuses nothing; None: no end.
        intermittent: passes in between are expected.
    """

    id: int = 0
    title: str
    test: str
    environment: str = "*"
    ticket: str = ""
    by: str = ""
    intermittent: bool = False
    added: dt.datetime
    expires: dt.datetime | None = None
