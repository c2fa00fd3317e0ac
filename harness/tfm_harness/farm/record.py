"""A night as typed data: ``night.json``. What each session found stands in the session's own record."""

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
    """A board and its night.

    Attributes:
        before, state: its health when the night began and when it ended; `reason` says why.
        away: why it ran nothing though its health would have let it.
        checks, sessions, failures: how often it was checked, ran a build under test, and failed as a bench tonight.
        seconds: for which it was busy.
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
        tried: how many sessions with these tests came before it; `why` says what it was for.
        trouble: what kept it from leaving a whole record.
        expected: seconds, as earlier nights had them.
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
    """A test that did not simply pass: all of its tries, oldest first, and what they say together.

    Attributes:
        home: the board that it was meant for; empty: any of the pool.
        outcome: ``flaky``: it failed and it passed.
        confirmed: it failed in two tries, on `boards`.
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
    """How many tests of a build ended how, on a pool (or on one board of it)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    pool: str
    build: str
    home: str = ""
    outcomes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightNotRun:
    """What was planned and never ran, and why."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    pool: str
    build: str
    home: str = ""
    suites: tuple[str, ...] = ()
    why: str = ""
    responsibility: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightRecord:
    """Everything that a night found.

    Attributes:
        name: the night's; the names of its sessions begin with it.
        farm, farm_sha256: the farm file's name and digest (hex).
        verdict, headline: in a word, and in a sentence.
        started: ISO 8601 with zone.
        seconds: wall time, all parts of a resumed night together.
        ended_early: why it ended before its end; empty when it did not.
        resumed: how often it was resumed.
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
