"""A night in the terminal: the plan before it, the summary after it. Text from devices is made safe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tfm_harness.farm.night import Night
from tfm_harness.farm.record import NightRecord, NightTest
from tfm_harness.farm.simulate import Expected
from tfm_harness.report.harmless import harmless
from tfm_harness.report.headline import WHOSE, failing_line
from tfm_harness.safe_text import safe

__all__ = ["counted", "plan_words", "summary_words"]

_MOST: Final = 30
_WIDTH: Final = 160


def plan_words(night: Night, expected: Expected) -> str:
    """The plan in words: sessions, boards and expected durations.

    Args:
        night: the night before it begins.
        expected: the simulated night.
    """
    planned = f"{counted(len(night.plan.tasks), 'session')} on {counted(len(night.boards), 'board')}"
    lines = [f"night {night.name}: {planned}", "", "boards"]
    for board in night.boards.values():
        reason = f": {board.health.reason}" if board.health.reason else ""
        failures = f"; failed {board.failures} times of late" if board.failures else ""
        lines.append(f"  {board.name:<24} {board.pool:<20} {board.health.state}{reason}{failures}")
    lines += ["", "sessions, as they should start"]
    for step in expected.steps:
        task = step.assignment.task
        took = f"{_time(task.expected)}" if task.expected is not None else "?"
        what = f"golden check: {', '.join(task.suites)}" if task.golden else _few(task.suites)
        lines.append(f"  {_time(step.begins):>8}  {took:>8}  {step.assignment.board:<24} {task.build}: {what}")
    for one in expected.never:
        lines.append(f"  never: {one.task.build} on {one.task.home or one.task.pool}: {one.why}")
    lines += ["", _total(expected, night)]
    return safe("\n".join(lines)) + "\n"


def counted(number: int, what: str) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _few(suites: Sequence[str]) -> str:
    shown = ", ".join(suites[:6])
    return shown + (f", and {len(suites) - 6} more" if len(suites) > 6 else "")


def _total(expected: Expected, night: Night) -> str:
    if not expected.steps:
        return "nothing of it would run"
    if expected.unknown == len(expected.steps):
        return "how long it takes is not known: no earlier night is in the store"
    words = f"about {_time(expected.seconds)} with {night.plan.at_once} sessions at a time"
    if expected.unknown:
        words += f"; {expected.unknown} sessions were never seen and count as {_time(expected.guess)} each"
    if expected.seconds > night.plan.night:
        words += f"; that is more than limits.night ({_time(night.plan.night)}): the last ones will not run"
    return words


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def summary_words(record: NightRecord) -> str:
    """The summary in words: results, and who is responsible."""
    record = harmless(record).record
    lines = [f"night {record.name} of {record.farm}: {record.verdict.upper()}", record.headline]
    lines += _section("the product", _product(record.tests))
    lines += _section("flaky: failed, and passed in another try", _flaky(record.tests))
    lines += _section("the bench", _bench(record))
    lines += _section("the configuration, the tests, the harness", _others(record))
    lines += _section("never ran", (
        f"{one.build} on {one.home or one.pool} ({_few(one.suites)}): {one.why}" for one in record.not_run
    ))  # fmt: skip
    lines += ["", "builds"]
    for count in record.counts:
        outcomes = ", ".join(f"{number} {word}" for word, number in count.outcomes.items())
        lines.append(f"  {count.build:<24} {count.home or count.pool:<24} {outcomes}")
    lines += ["", "boards"]
    for board in record.boards:
        state = board.state if board.before == board.state else f"{board.before} -> {board.state}"
        did = f"{counted(board.sessions, 'session')}, {counted(board.checks, 'check')}, {_time(board.seconds)}"
        why = board.reason if board.state != "Good" else ""
        lines.append(f"  {board.name:<24} {state:<20} {did}" + "".join(f"; {w}" for w in (why, board.away) if w))
    return safe("\n".join(_clip(line) for line in lines)) + "\n"


def _section(title: str, entries: Iterable[str]) -> list[str]:
    found = list(entries)
    if not found:
        return []
    more = [f"  ... and {len(found) - _MOST} more: night.json has all of them"] if len(found) > _MOST else []
    return ["", title, *(f"  {entry}" for entry in found[:_MOST]), *more]


def _product(tests: Iterable[NightTest]) -> Iterator[str]:
    for test in tests:
        if test.responsibility == "product" and test.outcome in {"failed", "blocked"}:
            on = ", ".join(test.boards)
            sure = "in two tries" if test.confirmed else "once; no second try was possible"
            benched = [one.board for one in test.tries if one.responsibility == "infrastructure"]
            if not test.confirmed and benched and len(test.tries) > 1:
                sure = f"once; the bench failed in the second try ({', '.join(benched)})"
            yield f"{test.test}: failed {sure}, on {on}: {failing_line(_failing(test))}"


def _flaky(tests: Iterable[NightTest]) -> Iterator[str]:
    for test in tests:
        if test.outcome == "flaky":
            tries = ", ".join(f"{one.outcome} on {one.board}" for one in test.tries)
            yield f"{test.test}: {tries}: {failing_line(_failing(test))}"


def _bench(record: NightRecord) -> Iterator[str]:
    for board in record.boards:
        if board.state in {"Bad", "Looping", "Maintenance", "Retired"} or board.away:
            yield f"{board.name} is {board.state}: " + "; ".join(w for w in (board.reason, board.away) if w)
    for test in record.tests:
        wrong = [one for one in test.tries if one.responsibility == "infrastructure"]
        if wrong and test.outcome in {"error", "blocked", "not run"}:
            on = ", ".join(dict.fromkeys(one.board for one in wrong))
            yield f"{test.test}: no verdict, on {on}: {wrong[0].kind}: {failing_line(wrong[0].message)}"
    mended: dict[tuple[str, str], int] = {}
    for test in record.tests:
        if test.outcome == "passed" and len(test.tries) > 1:
            first = test.tries[0]
            mended[first.board, first.kind] = mended.get((first.board, first.kind), 0) + 1
    for (name, kind), count in mended.items():
        yield f"{counted(count, 'test')} that {name} failed at passed in another try" + (f": {kind}" if kind else "")
    for session in record.sessions:
        if session.trouble and session.responsibility == "infrastructure":
            yield f"{session.name}: {session.trouble}: {session.headline}"


def _others(record: NightRecord) -> Iterator[str]:
    for test in record.tests:
        if test.responsibility in {"configuration", "test", "harness"}:
            yield f"{test.test}: {WHOSE[test.responsibility]}: {failing_line(test.tries[-1].message)}"
    for session in record.sessions:
        if session.trouble and session.responsibility in {"configuration", "harness"}:
            yield f"{session.name}: {session.trouble}: {session.headline}"
        elif not session.trouble and session.verdict in {"configuration", "harness", "test", "nothing proved"}:
            yield f"{session.name}: {session.verdict}: {session.headline}"


def _failing(test: NightTest) -> str:
    return next((one.message for one in test.tries if one.outcome in {"failed", "blocked"}), "")


def _clip(line: str) -> str:
    return line if len(line) <= 4 * _WIDTH else line[: 4 * _WIDTH - 3] + "..."
