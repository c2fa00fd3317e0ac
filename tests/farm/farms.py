"""Farms made in code: what each board does with each build is said in a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.night import ABSENT_GRACE, Night
from tfm_harness.farm.tasks import (
    Assignment,
    GoldenPlan,
    Plan,
    PlannedBuild,
    PoolPlan,
    SessionResult,
    Task,
    Times,
)
from tfm_harness.farm.tries import Attempt

BEGAN = 1_000_000.0
TESTS = ("test_one", "test_two")

Answer = Callable[[Assignment, int], SessionResult]


def golden(every: float = 0.0, loops: int = 3) -> GoldenPlan:
    return GoldenPlan(source="gold", build="gold", suites=("boot",), quick=True, every=every, loops=loops)


def plan(
    *boards: str, builds: Sequence[str] = ("fw",), each: bool = False, tries: int = 3, at_once: int = 8,
    every: float = 0.0, loops: int = 3, expected: Mapping[str, float] | None = None,
) -> Plan:  # fmt: skip
    pool = PoolPlan(name="hall", targets=boards, boards=boards, each=each, golden=golden(every, loops))
    homes = boards if each else ("",)
    pairs = [(build, home) for build in builds for home in homes]
    tasks = [
        Task(id=n, pool="hall", build=build, suites=("mine",), home=home, expected=(expected or {}).get(build))
        for n, (build, home) in enumerate(pairs, 1)
    ]
    named = {name: PlannedBuild(name=name, source=name) for name in ("gold", *builds)}
    return Plan(
        pools={"hall": pool}, builds=named, tasks=tuple(tasks), tries=tries, night=3600.0, session=600.0,
        at_once=at_once,
    )  # fmt: skip


def night(planned: Plan, *health: BoardHealth, failures: Mapping[str, int] | None = None) -> Night:
    known = {one.name: one for one in health}
    return Night(planned, known, Times(failures=failures or {}), name="N", began=BEGAN)


def passed(assignment: Assignment) -> SessionResult:
    return result(assignment, "passed", dict.fromkeys(_tests(assignment), ("passed", "", "")))


def result(
    assignment: Assignment, verdict: str, tests: Mapping[str, tuple[str, str, str]], **more: object
) -> SessionResult:
    """`tests`: outcome, responsibility and kind by name."""
    attempts = {
        name: Attempt(
            session=assignment.session, board=assignment.board, outcome=outcome, responsibility=whose, kind=kind,  # type: ignore[arg-type]
            message="the run ended before this test" if outcome == "not run" else f"{name} {outcome}",
        )
        for name, (outcome, whose, kind) in tests.items()
    }  # fmt: skip
    base = SessionResult(
        session=assignment.session, board=assignment.board, verdict=verdict, attempts=attempts, seconds=10.0,
        record=f"{assignment.session}/run.json",
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def product_fails(assignment: Assignment, *names: str) -> SessionResult:
    failed, good = ("failed", "product", "check-failed"), ("passed", "", "")
    return result(assignment, "failed", {test: failed if test in names else good for test in _tests(assignment)})


def bench_fails(assignment: Assignment, kind: str = "console-closed") -> SessionResult:
    first, *rest = _tests(assignment)
    tests = {first: ("error", "infrastructure", kind), **dict.fromkeys(rest, ("blocked", "infrastructure", kind))}
    return result(assignment, "infrastructure", tests, headline="the cable")


def silent(assignment: Assignment, trouble: str = "session-died", whose: str = "infrastructure") -> SessionResult:
    return SessionResult(
        session=assignment.session, board=assignment.board, trouble=trouble, responsibility=whose,
        headline="it was killed by signal 9", seconds=3.0,
    )  # fmt: skip


def _tests(assignment: Assignment) -> Sequence[str]:
    return assignment.task.only or TESTS


def pause_ends(one: Night, now: float) -> float | None:
    """When a pause ends for which something waits; None: only an ended session changes anything."""
    ends = [board.busy_until for board in one.boards.values() if board.busy_until > now]
    ends += [b.absent_since + ABSENT_GRACE for b in one.boards.values() if b.absent_since is not None]
    return min(ends, default=None) if one.waiting else None


def play(one: Night, answer: Answer = lambda a, _: passed(a), *, most: int = 200) -> list[Assignment]:
    """Run the night to its end; every session takes ten seconds. `answer` gets the session and its number from 0."""
    now, started = BEGAN, []
    queue: list[Assignment] = []
    for _ in range(most):
        new = one.next(now)
        started += new
        queue += new
        if not queue:
            if one.over(now):
                return started
            wake = pause_ends(one, now)
            assert wake is not None, "the night waits for nothing"
            assert wake > now
            now = wake
            continue
        ended = queue.pop(0)
        now += 10.0
        one.take(answer(ended, started.index(ended)), now)
    raise AssertionError("the night does not end")


def where(started: Sequence[Assignment], *, golden_too: bool = False) -> list[tuple[str, str]]:
    return [(one.task.build, one.board) for one in started if golden_too or not one.task.golden]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
