"""Makes a session's result from its folder. A record that does not fit the plan is not counted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tfm_harness.errors import HarnessError
from tfm_harness.farm.engines.base import Finished
from tfm_harness.farm.outcome import BUILD_CHANGED, CUT_OFF
from tfm_harness.farm.tasks import Assignment, PlannedBuild, SessionResult
from tfm_harness.farm.tries import Attempt
from tfm_harness.files import read_end
from tfm_harness.report.record import RunRecord, TestEntry
from tfm_harness.report.storage import read_run

__all__ = ["collect"]

_TAIL: Final = 400
_BY_CODE: Final[Mapping[int, tuple[str, str]]] = {
    2: ("session-refused", "configuration"),
    3: ("session-bug", "harness"),
    4: ("session-refused", "configuration"),
    10: ("session-died", "infrastructure"),
}
_ENDED: Final[Mapping[str, tuple[str, str, str]]] = {
    "night": (CUT_OFF, "", "the night ended while it ran"),
    "time": ("session-time", "infrastructure", "it took longer than limits.session and was ended"),
    "lost": ("worker-lost", "infrastructure", "the host that ran it is lost"),
}


@dataclass(frozen=True, slots=True)
class _Trouble:
    kind: str
    responsibility: str
    words: str


def collect(assignment: Assignment, finished: Finished, folder: Path, build: PlannedBuild) -> SessionResult:
    """The result of a session.

    Args:
        assignment: the task and the board.
        finished: the end of its process.
        folder: its folder.
        build: the build that it should have run, with the digests of its files.
    """
    base = SessionResult(
        session=assignment.session, board=assignment.board, seconds=finished.seconds, host=finished.host
    )
    try:
        record, data = read_run(folder)
    except HarnessError as error:
        trouble = _without_record(finished, folder, str(error.seen or error.message))
        return replace(base, trouble=trouble.kind, responsibility=trouble.responsibility, headline=trouble.words)
    found = replace(
        base,
        verdict=record.verdict,
        headline=record.headline,
        lost="; ".join(board.lost for board in record.boards if board.lost),
        record=f"{folder.name}/run.json",
        sha256=hashlib.sha256(data).hexdigest(),
        seconds=finished.seconds or record.seconds,
        attempts={test.nodeid: _attempt(assignment, test) for test in record.tests},
    )
    wrong = _another_build(record, build)
    if wrong:
        return replace(
            found, attempts={}, trouble=BUILD_CHANGED, responsibility="configuration", headline=wrong,
        )  # fmt: skip
    if finished.ended:
        kind, whose, words = _ENDED[finished.ended]
        if finished.ended == "night" and not record.interrupted:
            return found  # it had ended by itself before the night asked it to end
        if kind == CUT_OFF:
            cut = {name: replace(one, kind=CUT_OFF) if one.cut_off else one for name, one in found.attempts.items()}
            found = replace(found, attempts=cut)
        return replace(found, trouble=kind, responsibility=whose, headline=f"{words}; {record.headline}")
    if record.verdict == "interrupted" and not record.interrupted:  # pytest says so when it cannot collect tests
        said = _tail(folder / "output.txt")
        return replace(found, trouble="session-refused", responsibility="configuration", attempts={},
                       headline=f"the tests cannot be collected; it said: {said}")  # fmt: skip
    if record.verdict == "interrupted":
        return replace(found, trouble="session-ended", responsibility="infrastructure",
                       headline=f"somebody ended it ({record.interrupted}); {record.headline}")  # fmt: skip
    return found


def _attempt(assignment: Assignment, test: TestEntry) -> Attempt:
    return Attempt(
        session=assignment.session, board=test.board or assignment.board, outcome=test.outcome,
        responsibility=test.responsibility, kind=test.kind, message=test.message, seconds=test.seconds,
    )  # fmt: skip


def _another_build(record: RunRecord, build: PlannedBuild) -> str:
    """The difference between the files that ran and those of the plan; empty when they are the same."""
    ran = {file.name: file.sha256 for one in record.combinations for file in one.files if file.role != "target"}
    differing = [name for name, digest in build.files.items() if ran.get(name) != digest]
    differing += [name for name in ran if name not in build.files]
    if not differing or not build.files:
        return ""
    return f"the build {build.name} was changed after the night had begun, or differs on that host: {differing[0]}"


def _without_record(finished: Finished, folder: Path, why: str) -> _Trouble:
    """The trouble, and the responsibility for it, when there is no record."""
    said = finished.message or _tail(folder / "output.txt")
    if finished.ended:
        kind, whose, words = _ENDED[finished.ended]
        return _Trouble(kind, whose, f"{words}; it left no record" + (f"; it said: {said}" if said else ""))
    code = finished.code
    if code is None or code < 0 or code > 127:
        how = (
            "nobody knows how it ended"
            if code is None
            else f"it was killed by signal {-code if code < 0 else code - 128}"
        )
        kind, whose = "session-died", "infrastructure"
    else:
        how = f"it ended with {code}"
        kind, whose = _BY_CODE.get(code, ("session-bug", "harness"))
    return _Trouble(kind, whose, f"{how} and left no record ({why})" + (f"; it said: {said}" if said else ""))


def _tail(file: Path) -> str:
    """The last lines of a session's output."""
    try:
        text = read_end(file, 4 * _TAIL).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip(" =-_")]
    return " / ".join(lines[-4:])[-_TAIL:]
