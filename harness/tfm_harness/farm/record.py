"""A night as typed data: ``night.json``. The results of each session are in the session's own record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from tfm_harness.farm.tries import Attempt, Outcome

__all__ = [
    "SCHEMA",
    "NightBoard",
    "NightBuild",
    "NightCounts",
    "NightNotRun",
    "NightRecord",
    "NightSession",
    "NightTest",
    "NightTry",
    "NightVerdict",
]

SCHEMA: Final = "tfm-harness-night/1"

NightVerdict = Literal[
    "passed", "failed", "flaky", "infrastructure", "configuration", "test", "harness", "interrupted", "nothing proved"
]
_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightBuild:
    """A build, by its files' digests (hex) as they were when the night began; `golden`: it proved boards."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    source: str
    golden: bool = False
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightBoard:
    """A board in the night.

    Attributes:
        before, state: its health when the night began and when it ended; `reason` says why.
        away: the reason why it ran nothing although its health allowed it.
        checks, sessions, failures: number of golden checks, sessions, and failures of the bench tonight.
        seconds: the time for which it was busy.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    pool: str
    before: str
    state: str
    reason: str = ""
    away: str = ""
    checks: int = 0
    sessions: int = 0
    failures: int = 0
    seconds: float = 0.0
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightSession:
    """One session; `record` is its ``run.json``, relative to the night's folder, with its digest (hex).

    Attributes:
        tried: number of earlier sessions with these tests; `why` is the reason for this one.
        trouble: the reason why it left no whole record.
        expected: expected seconds, from earlier nights.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    pool: str
    build: str
    board: str
    host: str = ""
    golden: bool = False
    tried: int = 0
    why: str = ""
    verdict: str = ""
    headline: str = ""
    trouble: str = ""
    responsibility: str = ""
    seconds: float = 0.0
    expected: float | None = None
    record: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightTry(Attempt):
    """One try of a test."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class NightTest:
    """A test that did not simply pass: all of its tries, oldest first, and their common verdict.

    Attributes:
        home: the board for which it was planned; empty: any of the pool.
        outcome: ``flaky``: it failed and it passed.
        confirmed: whether it failed in two tries, on `boards`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    test: str
    pool: str
    build: str
    home: str = ""
    outcome: Outcome
    responsibility: str = ""
    confirmed: bool = False
    boards: tuple[str, ...] = ()
    tries: tuple[NightTry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NightCounts:
    """The number of tests of a build with each outcome, on a pool (or on one board of it)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    pool: str
    build: str
    home: str = ""
    outcomes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightNotRun:
    """A session that was planned but never ran, and the reason."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    pool: str
    build: str
    home: str = ""
    suites: tuple[str, ...] = ()
    why: str = ""
    responsibility: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRecord:
    """The record of a night.

    Attributes:
        name: the night's name; the names of its sessions begin with it.
        farm, farm_sha256: the farm file's name and digest (hex).
        verdict, headline: the verdict in a word, and in a sentence.
        started: ISO 8601 with zone.
        seconds: wall time, all parts of a resumed night together.
        ended_early: the reason why it was ended early; empty when it was not.
        resumed: number of times that it was resumed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    farm: str
    farm_sha256: str
    verdict: NightVerdict
    headline: str = ""
    started: str = ""
    seconds: float = 0.0
    ended_early: str = ""
    resumed: int = 0
    version: str = ""
    engine: str = ""
    builds: tuple[NightBuild, ...] = ()
    boards: tuple[NightBoard, ...] = ()
    sessions: tuple[NightSession, ...] = ()
    counts: tuple[NightCounts, ...] = ()
    tests: tuple[NightTest, ...] = ()
    not_run: tuple[NightNotRun, ...] = ()
