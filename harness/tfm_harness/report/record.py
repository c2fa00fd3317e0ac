"""A run as typed data: from the checks of a test to ``run.json``, JUnit, the summary and the page.

Every entry is a frozen dataclass. pydantic reads and writes them (`tfm_harness.report.storage`), and refuses
what does not fit. What a file leaves out has its default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict

from tfm_harness.report.measured import (
    AccuracyEntry,
    LatencyEntry,
    ParityDifference,
    ParityEntry,
    ParityOutput,
    TimingEntry,
    TraceEntry,
)
from tfm_harness.report.ran_on import BoardEntry, CombinationEntry, EventEntry, FileEntry, MoveEntry
from tfm_harness.report.strict import STRICT
from tfm_harness.report.tested import (
    CheckEntry,
    FindingEntry,
    PhaseEntry,
    ResponsibilityWord,
    TestEntry,
    TryEntry,
)

__all__ = [
    "SCHEMA",
    "TOLERANCE",
    "AccuracyEntry",
    "BoardEntry",
    "BoardRun",
    "CheckEntry",
    "CombinationEntry",
    "ConsoleExcerpt",
    "EventEntry",
    "FileEntry",
    "FindingEntry",
    "LatencyEntry",
    "MoveEntry",
    "ParityDifference",
    "ParityEntry",
    "ParityOutput",
    "PhaseEntry",
    "RequirementEntry",
    "ResponsibilityWord",
    "RunRecord",
    "SuiteEntry",
    "TestEntry",
    "TimingEntry",
    "TraceEntry",
    "TryEntry",
    "VerdictWord",
    "WaiverEntry",
]

SCHEMA: Final = "tfm-harness-run/2"

VerdictWord = Literal[
    "passed",
    "failed",
    "infrastructure",
    "configuration",
    "test",
    "harness",
    "interrupted",
    "nothing proved",
    "too little proved",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteEntry:
    """The claim of a suite on a combination, and whether the run proved it.

    Attributes:
        claim: the suite's words.
        state: ``proved``: everything that the suite has on disk ran and passed at the first try;
            ``partly``: some of it did not.
        passed, total: tests that passed; tests that the suite has, those left out included.
        excused: checks that a waiver or a tolerance excused: the claim does not hold for them.
        retried: tests that did not pass at their first try.
        sha256: digest over the suite's files (`tfm_harness.report.digests.folder_digest`), hex.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    suite: str
    claim: str
    state: Literal["proved", "partly"]
    passed: int
    total: int
    excused: tuple[str, ...] = ()
    retried: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementEntry:
    """One row of a suite's table, judged by what this run found.

    Attributes:
        checks: ids or patterns of the checks that prove it.
        state: ``proven``: each of them ran and held; ``partly``: those that ran held, and some did not run (they may
            not apply here); ``excused``: a waiver or the policy let one pass; ``failed``; ``not proven``: none ran.
        missing: the checks that did not run.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    suite: str
    checks: tuple[str, ...]
    proves: str = ""
    requirement: str = ""
    state: Literal["proven", "partly", "excused", "failed", "not proven"]
    missing: tuple[str, ...] = ()


TOLERANCE = "parity tolerance "
"""The prefix of `finding` in a `WaiverEntry` that stands for a tolerance of the build; the tolerance's name follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverEntry:
    """The state of one waiver or tolerance of a build."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    finding: str
    reason: str
    where: str = ""
    state: Literal["used", "unused", "not judged"] = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleExcerpt:
    """The last lines of one console; `text` may hold anything the device sent."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    board: str = ""
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRun:
    """One board's share of a run; test processes send it to the process that writes the record."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    board: BoardEntry
    latency: tuple[LatencyEntry, ...] = ()
    parity: tuple[ParityEntry, ...] = ()
    accuracy: tuple[AccuracyEntry, ...] = ()
    timings: tuple[TimingEntry, ...] = ()
    traces: tuple[TraceEntry, ...] = ()
    consoles: tuple[ConsoleExcerpt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class RunRecord:
    """The record of a run.

    Attributes:
        name: the run's id, usually its folder's name.
        verdict: in a word. ``passed`` only when every collected test reached its end.
        headline: the verdict in one sentence.
        started: ISO 8601 with zone.
        seconds: wall time.
        collected, deselected: tests that were chosen; tests that the user left out.
        version, package_sha256: of the harness: its version, and the digest over its installed files.
        interrupted: what ended the run before its end (``SIGINT``, ``SIGTERM``, ...); empty when nothing did.
        requirements: rows of the suites that took part.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    verdict: VerdictWord
    headline: str = ""
    started: str = ""
    seconds: float = 0.0
    version: str = ""
    package_sha256: str = ""
    collected: int = 0
    deselected: int = 0
    interrupted: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    combinations: tuple[CombinationEntry, ...] = ()
    boards: tuple[BoardEntry, ...] = ()
    moves: tuple[MoveEntry, ...] = ()
    suites: tuple[SuiteEntry, ...] = ()
    requirements: tuple[RequirementEntry, ...] = ()
    waivers: tuple[WaiverEntry, ...] = ()
    latency: tuple[LatencyEntry, ...] = ()
    parity: tuple[ParityEntry, ...] = ()
    accuracy: tuple[AccuracyEntry, ...] = ()
    timings: tuple[TimingEntry, ...] = ()
    traces: tuple[TraceEntry, ...] = ()
    consoles: tuple[ConsoleExcerpt, ...] = ()
    checks: Mapping[str, CheckEntry] = field(default_factory=dict)
    tests: tuple[TestEntry, ...] = ()

    def outcomes(self) -> Counter[str]:
        """The number of tests with each outcome."""
        return Counter(test.outcome for test in self.tests)

    def responsibilities(self) -> Counter[str]:
        """The number of tests that did not pass, by responsibility; blocked tests are not counted."""
        return Counter(t.responsibility for t in self.tests if t.responsibility and t.outcome != "blocked")

    def lost(self) -> tuple[BoardEntry, ...]:
        """Boards in quarantine."""
        return tuple(board for board in self.boards if board.lost)

    def check(self, finding: FindingEntry) -> CheckEntry:
        """The title and the requirement of the finding's check."""
        return self.checks.get(finding.id, _UNKNOWN)

    def proven(self) -> tuple[int, int]:
        """The number of proven requirements, and of all."""
        return sum(row.state == "proven" for row in self.requirements), len(self.requirements)


def proven_words(run: RunRecord) -> str:
    """``47 of 67 requirements proven, 4 more in part``; empty without requirements.

    If a suite did not run completely, the text also says by how many of the tests: the others may prove more.
    """
    proven, rows = run.proven()
    if not rows:
        return ""
    words = f"{proven} of {rows} requirements proven"
    if partly := sum(row.state == "partly" for row in run.requirements):
        words += f", {partly} more in part"
    passed, total = (sum(getattr(suite, count) for suite in run.suites) for count in ("passed", "total"))
    return words + (f", by {passed} of {total} tests" if passed < total else "")


_UNKNOWN = CheckEntry()


def in_words(counted: Mapping[str, int] | Iterable[tuple[str, int]]) -> str:
    """``3 passed, 1 not covered``."""
    pairs: Any = counted.items() if isinstance(counted, Mapping) else counted
    return ", ".join(f"{count} {word}" for word, count in pairs if count)
