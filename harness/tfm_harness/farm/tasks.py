"""The parts of a night: boards, pools, and tasks, each of which becomes a session. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfm_harness.farm.tries import Attempt

__all__ = ["Assignment", "GoldenPlan", "Plan", "PlannedBuild", "PoolPlan", "SessionResult", "Task", "Times", "name_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPlan:
    """The golden build that proves a pool's boards.

    Attributes:
        source: the build's name or file, as for ``run --build``.
        build: its name.
        every: seconds for which a pass is valid; 0: for one night.
        loops: number of checks of a Looping board in a night.
    """

    source: str
    build: str
    suites: tuple[str, ...]
    quick: bool
    every: float
    loops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """Boards that can replace each other.

    Attributes:
        targets: names or files, as for ``run --target``.
        boards: names of the single boards.
        each: whether each build runs on each of them.
    """

    name: str
    targets: tuple[str, ...]
    boards: tuple[str, ...]
    each: bool
    golden: GoldenPlan

    @property
    def combination(self) -> str:
        """The first part of its combinations' names, in the form of `run`."""
        return "|".join(map(name_of, self.targets))


def name_of(target: str) -> str:
    """The name of a target that is given by its name or its file."""
    return Path(target).stem if target.endswith((".yaml", ".yml")) else target


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBuild:
    """A build under test, or a golden one; `files` are the digests of its files, by their names in the build."""

    name: str
    source: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Suites of one build on one board of a pool.

    Attributes:
        id: its number in the night.
        home: the board to which it belongs; empty: any of the pool.
        golden: whether it is a golden check, which proves the board.
        only: node ids of the tests; empty: all of the suites.
        avoid: boards on which these tests ran already.
        deterministic: whether emulators count instructions in place of time.
        why: the reason for a further try, in words.
        expected: expected seconds, from earlier nights; None: never seen.
    """

    id: int
    pool: str
    build: str
    suites: tuple[str, ...]
    home: str = ""
    golden: bool = False
    quick: bool = False
    deterministic: bool = False
    only: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    tried: int = 0
    why: str = ""
    expected: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """The key under which its tests' results are collected: pool, build, home."""
        return self.pool, self.build, self.home


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole night before it begins: everything validated, nothing started.

    Attributes:
        builds: by name, golden ones included.
        tries, night, session, at_once: the farm's limits.
        state: the state folder; empty: the user's own on each host.
    """

    pools: Mapping[str, PoolPlan]
    builds: Mapping[str, PlannedBuild]
    tasks: tuple[Task, ...]
    tries: int
    night: float
    session: float
    at_once: int
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A task on a board; `session` is its name in the night, unique."""

    session: str
    task: Task
    board: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """The result of a session.

    Attributes:
        verdict: the verdict of its record; empty when there is none.
        headline: the headline of its record; without a record, the problem.
        attempts: tries of tests, by node id.
        trouble: the kind of the problem because of which it left no whole record (``session-died``, ``session-time``,
            ``worker-lost``, ``night-ended``, ...); empty when it left one.
        responsibility: the responsibility for the trouble.
        lost: the reason why the board was put into quarantine; empty when it was not.
        host: the host on which it ran.
        at: the time at which it had ended, seconds since 1970.
    """

    session: str
    board: str
    at: float = 0.0
    verdict: str = ""
    headline: str = ""
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    trouble: str = ""
    responsibility: str = ""
    lost: str = ""
    seconds: float = 0.0
    host: str = ""
    record: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The durations of earlier nights, in seconds.

    Attributes:
        sessions: by `Times.key`; a new build uses the duration of its pool, whose key has no build.
        failures: recent failures of the infrastructure, by board.
    """

    sessions: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def key(pool: str, build: str = "", *, golden: bool = False) -> str:
        """The key in `sessions` for the sessions of a build on a pool (names have no blanks)."""
        return f"{pool} {build}" + " golden" * golden

    def expected(self, pool: str, build: str, *, golden: bool) -> float | None:
        """The expected seconds of such a session; None: never seen."""
        exact = self.sessions.get(self.key(pool, build, golden=golden))
        return exact if exact is not None or golden else self.sessions.get(self.key(pool))
