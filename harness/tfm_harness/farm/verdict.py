"""The final results of a night: its record, its verdict, its exit code. Pure."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Final

from tfm_harness.farm.night import Night
from tfm_harness.farm.record import (
    NightBoard,
    NightBuild,
    NightCounts,
    NightNotRun,
    NightRecord,
    NightSession,
    NightTest,
    NightTry,
    NightVerdict,
)
from tfm_harness.farm.tasks import SessionResult
from tfm_harness.farm.tries import judge
from tfm_harness.report.headline import WHOSE
from tfm_harness.report.record import in_words
from tfm_harness.version import __version__

__all__ = ["EXIT_CODES", "make_record"]

EXIT_CODES: Final[Mapping[NightVerdict, int]] = {
    "passed": 0,
    "failed": 1,
    "flaky": 1,
    "interrupted": 2,
    "harness": 3,
    "configuration": 4,
    "test": 4,
    "nothing proved": 5,
    "infrastructure": 10,
}
_UNEXPLAINED: Final[Mapping[str, NightVerdict]] = {
    "failed": "failed",
    "harness": "harness",
    "configuration": "configuration",
    "test": "test",
    "infrastructure": "infrastructure",
    "interrupted": "infrastructure",
}
_ORDER: Final = ("passed", "failed", "flaky", "error", "blocked", "not covered", "skipped", "not run")
_MESSAGE: Final = 2000


def make_record(
    night: Night,
    *,
    farm: str,
    farm_sha256: str,
    seconds: float,
    flaky_fails: bool = True,
    engine: str = "",
    resumed: int = 0,
) -> NightRecord:
    """The record of a night.

    Args:
        night: the night after its end.
        farm: the farm's name.
        farm_sha256: digest of its file, hex.
        seconds: wall time.
        flaky_fails: whether a flaky test makes the night fail.
        engine: the engine that ran the sessions.
        resumed: number of times that the night was resumed.
    """
    tests, counts = _tests(night)
    sessions = _sessions(night)
    not_run = tuple(
        NightNotRun(
            pool=one.task.pool, build=one.task.build, home=one.task.home, suites=one.task.suites, why=one.why,
            responsibility=one.responsibility,
        )
        for one in night.not_run
    )  # fmt: skip
    # The tests of a session without any record are not known: it counts as one failure of the responsible party.
    silent = _silent(night)
    golden = {pool.golden.build for pool in night.plan.pools.values()}
    record = NightRecord(
        name=night.name,
        farm=farm,
        farm_sha256=farm_sha256,
        verdict=_verdict(night, tests, counts, not_run, silent, flaky_fails=flaky_fails),
        started=dt.datetime.fromtimestamp(night.started, dt.UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        ended_early=night.closed,
        resumed=resumed,
        version=__version__,
        engine=engine,
        builds=tuple(
            NightBuild(name=build.name, source=build.source, golden=build.name in golden, files=dict(build.files))
            for build in night.plan.builds.values()
        ),
        boards=_boards(night),
        sessions=sessions,
        counts=counts,
        tests=tests,
        not_run=not_run,
    )
    return replace(record, headline=_headline(record, silent))


def _boards(night: Night) -> tuple[NightBoard, ...]:
    return tuple(
        NightBoard(
            name=board.name, pool=board.pool, before=board.before.state, state=board.health.state,
            reason=board.health.reason, away=board.away, checks=board.checks, sessions=board.sessions,
            failures=board.failed_tonight, seconds=round(board.seconds, 3), host=board.host,
        )
        for board in night.boards.values()
    )  # fmt: skip


def _sessions(night: Night) -> tuple[NightSession, ...]:
    found = []
    for ended in night.ended:
        task, result = ended.assignment.task, ended.result
        found.append(
            NightSession(
                name=result.session, pool=task.pool, build=task.build, board=result.board, host=result.host,
                golden=task.golden, tried=task.tried, why=task.why, verdict=result.verdict, headline=result.headline,
                trouble=result.trouble, responsibility=result.responsibility, seconds=round(result.seconds, 3),
                expected=task.expected, record=result.record, sha256=result.sha256,
            )
        )  # fmt: skip
    return tuple(found)


def _tests(night: Night) -> tuple[tuple[NightTest, ...], tuple[NightCounts, ...]]:
    tests, counts = [], []
    for (pool, build, home), by_test in night.attempts.items():
        seen: Counter[str] = Counter()
        for nodeid, attempts in by_test.items():
            judged = judge(attempts)
            seen[judged.outcome] += 1
            if judged.outcome == "passed" and len(attempts) == 1:
                continue
            if (
                judged.outcome in {"not covered", "skipped", "not run"}
                and len(attempts) == 1
                and not attempts[0].cut_off
            ):
                continue  # it was left out on purpose, or is not covered: only the counts have it
            tries = tuple(NightTry(**{**asdict(one), "message": one.message[:_MESSAGE]}) for one in attempts)
            tests.append(
                NightTest(
                    test=nodeid, pool=pool, build=build, home=home, outcome=judged.outcome,
                    responsibility=judged.responsibility, confirmed=judged.confirmed, boards=judged.boards,
                    tries=tries,
                )
            )  # fmt: skip
        ordered = {word: seen[word] for word in _ORDER if seen[word]}
        counts.append(NightCounts(pool=pool, build=build, home=home, outcomes=ordered))
    return tuple(tests), tuple(counts)


def _silent(night: Night) -> list[str]:
    """For each planned session that left no test at all, the responsibility for that."""
    return [
        result.responsibility or "infrastructure"
        for key, result in _last_results(night).items()
        if not result.attempts and not night.attempts.get(key)
    ]


def _last_results(night: Night) -> dict[tuple[str, str, str], SessionResult]:
    """The result of the last session for each planned one, by `Task.key`."""
    return {ended.assignment.task.key: ended.result for ended in night.ended if not ended.assignment.task.golden}


def _outcomes(counts: Iterable[NightCounts]) -> Counter[str]:
    """The number of tests of all builds with each outcome."""
    outcomes: Counter[str] = Counter()
    for count in counts:
        outcomes.update(count.outcomes)
    return outcomes


def _verdict(
    night: Night, tests: tuple[NightTest, ...], counts: tuple[NightCounts, ...], not_run: tuple[NightNotRun, ...],
    silent: list[str], *, flaky_fails: bool,
) -> NightVerdict:  # fmt: skip
    outcomes = _outcomes(counts)
    blame = Counter(test.responsibility for test in tests if test.outcome not in {"passed", "flaky"})
    blame.update(silent)
    blame.update(one.responsibility for one in not_run)
    troubles = {e.result.responsibility for e in night.ended if e.result.trouble and not e.assignment.task.golden}
    if night.closed:
        return "interrupted"
    if outcomes["failed"] or blame["product"]:
        return "failed"
    for word in ("harness", "configuration", "test"):
        if blame[word] or word in troubles:
            return word
    if outcomes["flaky"] and flaky_fails:
        return "flaky"
    last = _last_results(night)
    unfinished = any(result.trouble and result.responsibility == "infrastructure" for result in last.values())
    if blame["infrastructure"] or outcomes["error"] or outcomes["blocked"] or unfinished:
        return "infrastructure"
    # Verdicts that no test explains, such as a waiver that matched nothing: such a session does not count as passed.
    others = {result.verdict for result in last.values()} - {"passed"}
    for other in _UNEXPLAINED:
        if other in others:
            return _UNEXPLAINED[other]
    return "passed" if outcomes["passed"] and not others else "nothing proved"


def _headline(record: NightRecord, silent: list[str]) -> str:
    outcomes = _outcomes(record.counts)
    boards = {state: sum(board.state == state for board in record.boards) for state in ("Good", "Bad")}
    product = sum(not session.golden for session in record.sessions)
    counted = in_words((word, outcomes[word]) for word in _ORDER) or "no test"
    parts = [f"{counted} in {product} session{'s' * (product != 1)}, {record.seconds:.0f} s"]
    blame = Counter(t.responsibility for t in record.tests if t.responsibility and t.outcome != "passed")
    blame.update(silent)
    blame.update(one.responsibility for one in record.not_run if one.responsibility)
    if blame:
        parts.append("responsible: " + ", ".join(f"{WHOSE[who]} for {count}" for who, count in blame.most_common()))
    again = sum(len(test.tries) > 1 for test in record.tests)
    if again:
        parts.append("1 test ran more than once" if again == 1 else f"{again} tests ran more than once")
    if record.not_run:
        never = len(record.not_run)
        parts.append("1 planned session never ran" if never == 1 else f"{never} planned sessions never ran")
    parts.append(f"boards: {boards['Good']} Good, {boards['Bad']} Bad, of {len(record.boards)}")
    if record.ended_early:
        parts.append(f"ended early: {record.ended_early}")
    return "; ".join(parts)
