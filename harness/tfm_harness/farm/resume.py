"""Resumes a night from its journal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from tfm_harness.errors import ConfigError
from tfm_harness.farm.collect import collect
from tfm_harness.farm.engines.base import Finished
from tfm_harness.farm.journal import Event, Header
from tfm_harness.farm.night import Ended, Night
from tfm_harness.farm.outcome import BUILD_CHANGED
from tfm_harness.farm.runner import build_of
from tfm_harness.farm.tasks import Assignment, SessionResult
from tfm_harness.files import TEXT_LIMIT, read_file

__all__ = ["PROOF_LASTS", "digest_of", "newest_night", "replay"]

PROOF_LASTS: Final = 3600.0
"""Seconds for which a golden check from before the interruption still proves a board."""


def newest_night(results: Path) -> Path:
    """The folder of a farm's newest night.

    Raises:
        ConfigError: kind ``night-journal``: there is none.
    """
    found = sorted(path.parent for path in results.glob("*/journal.jsonl"))
    if not found:
        raise ConfigError(
            "there is no night to go on with", kind="night-journal", expected="a folder with journal.jsonl",
            where=str(results), hint="without --resume a new night begins",
        )  # fmt: skip
    return found[-1]


def replay(events: Sequence[Event], folder: Path, *, now: float) -> tuple[Night, list[Ended]]:
    """The state of the night, and sessions that ended without a record in the journal.

    Args:
        events: the events of the night's journal.
        folder: the night's folder.
        now: seconds since 1970.

    Returns:
        the night, and sessions whose end the journal does not have yet: they had ended when the night was killed.

    Raises:
        ConfigError: kind ``night-journal``: a session's record has changed, or the journal contradicts itself.
    """
    header = events[0]
    if not isinstance(header, Header):
        raise ConfigError("the night's journal does not begin with its plan", kind="night-journal", where=str(folder))
    night = Night(header.plan, header.health, header.times, name=header.name, began=header.began)
    try:
        for event in events[1:]:
            if isinstance(event, Assignment):
                night.adopt(event)
            elif isinstance(event, SessionResult):
                night.take(_with_attempts(night, event, folder), event.at or now)
    except (KeyError, ValueError) as error:
        raise ConfigError(
            "the night's journal contradicts itself", kind="night-journal", seen=f"{type(error).__name__}: {error}",
            where=str(folder), hint="begin a new night; the sessions' own records in its folder are whole",
        ) from error  # fmt: skip
    found: list[Ended] = []
    for session in list(night.running):
        assignment = night.running[session]
        result = collect(
            assignment, Finished(session=session, code=None), folder / session, build_of(night, assignment)
        )
        if not result.record or result.trouble:
            night.forget(session)  # killed with the night: its results do not count, and it runs again
            continue
        result = replace(result, at=now)
        night.take(result, now)
        found.append(night.ended[-1])
    night.began = max(night.began, now - PROOF_LASTS)
    return night, found


def _with_attempts(night: Night, result: SessionResult, folder: Path) -> SessionResult:
    """The result, completed with its tests from the session's own record."""
    if not result.record or result.trouble == BUILD_CHANGED:
        return result
    assignment = night.running[result.session]
    path = folder / result.record
    again = collect(assignment, Finished(session=result.session, code=0), path.parent, build_of(night, assignment))
    if again.sha256 != result.sha256:
        seen = f"SHA-256 {again.sha256}" if again.sha256 else again.headline
        raise ConfigError(
            f"the record of session {result.session} is not what it was", kind="night-journal",
            expected=f"SHA-256 {result.sha256}", seen=seen, where=str(path),
            hint="bring the record back, or begin a new night",
        )  # fmt: skip
    return replace(result, attempts=again.attempts)


def digest_of(path: Path) -> str:
    """SHA-256 of a farm file, hex."""
    return hashlib.sha256(read_file(path, TEXT_LIMIT)).hexdigest()
