"""The night's journal: the plan, and each start and end of a session, one line each, on disk before the next event.

A killed night is resumed from it. A last line that was not written completely is dropped; any other damage is an error,
because a night without its events would run sessions twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.farm.health import BoardHealth
from tfm_harness.farm.tasks import Assignment, Plan, SessionResult, Times
from tfm_harness.files import read_file

__all__ = ["Header", "Journal", "Resumed", "parts", "read_journal"]

NAME: Final = "journal.jsonl"
SCHEMA: Final = "tfm-harness-night-journal/1"
_LIMIT: Final = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The plan with which a night began.

    Attributes:
        farm: the farm file's digest, hex.
        began: seconds since 1970.
    """

    name: str
    farm: str
    began: float
    plan: Plan
    health: dict[str, BoardHealth]
    times: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The night was resumed here. There is no other trace of the parts of a killed night.

    Attributes:
        at: seconds since 1970.
    """

    at: float


Event = Header | Assignment | SessionResult | Resumed
_KINDS: Final = {"night": Header, "started": Assignment, "ended": SessionResult, "resumed": Resumed}


def parts(events: Sequence[Event]) -> tuple[float, int]:
    """The seconds for which a night has run so far, and the number of times it was resumed.

    The time of a killed part after the end of its last session is not known, and not counted.
    """
    seconds, resumed, began, last = 0.0, 0, 0.0, 0.0
    for event in events:
        if isinstance(event, Header | Resumed):
            seconds += max(0.0, last - began)
            began = last = event.began if isinstance(event, Header) else event.at
            resumed += isinstance(event, Resumed)
        elif isinstance(event, SessionResult):
            last = max(last, event.at or 0.0)
    return seconds + max(0.0, last - began), resumed


@cache
def _adapter(word: str) -> TypeAdapter[Any]:
    return TypeAdapter(_KINDS[word])


class Journal:
    """An open journal; each event is on the disk when the call returns.

    Args:
        folder: the night's folder.

    Raises:
        InfrastructureError: kind ``night-write``.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(self.path)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _refused(self.path, error) from error

    def add(self, event: Event) -> None:
        """Write an event.

        Raises:
            InfrastructureError: kind ``night-write``.
        """
        word = next(word for word, kind in _KINDS.items() if isinstance(event, kind))
        body = _adapter(word).dump_python(event, mode="json")
        if word == "ended":
            body.pop("attempts")  # the session's own record has them
        head = {"schema": SCHEMA} if word == "night" else {}
        data = json.dumps({**head, word: body}, ensure_ascii=True).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            raise _refused(self.path, error) from error

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _cut_torn_line(path: Path) -> None:
    """Remove a line that was not written completely when the power failed: the next event must not follow it."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            file.truncate(whole)


def _refused(path: Path, error: OSError) -> InfrastructureError:
    return InfrastructureError(
        "the night's journal cannot be written", kind="night-write", seen=str(error), where=str(path),
        hint="free space, or name another folder of results; then go on with --resume",
    )  # fmt: skip


def read_journal(folder: Path) -> list[Event]:
    """All events of a night, oldest first; the first one is its `Header`.

    Raises:
        ConfigError: kind ``night-journal``: there is none, or it is damaged.
    """
    path = folder / NAME
    try:
        data = read_file(path, _LIMIT)
    except OSError as error:
        raise ConfigError(
            f"there is no night in {folder}", kind="night-journal", seen=str(error), where=str(path),
            hint="--resume takes a night's folder; without one, the newest of the farm's results",
        ) from error  # fmt: skip
    events = list(_events(path, data))
    if not events or not isinstance(events[0], Header):
        raise _damaged(path, 1, "it does not begin with the night's plan")
    return events


def _events(path: Path, data: bytes) -> Iterator[Event]:
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):  # after the last newline comes nothing, or an incomplete line
        try:
            plain = json.loads(line)
            schema = plain.pop("schema", SCHEMA)
            ((word, body),) = plain.items()
            if schema != SCHEMA:
                raise _damaged(path, number, f"schema {schema!r}; this version writes {SCHEMA}")
            event: Event = _adapter(word).validate_python(body)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError, ValidationError) as error:
            raise _damaged(path, number, f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
        yield event


def _damaged(path: Path, line: int, seen: str) -> ConfigError:
    return ConfigError(
        "the night's journal is damaged", kind="night-journal", seen=seen, where=f"{path}:{line}",
        hint="begin a new night; the sessions' own records in its folder are whole",
    )  # fmt: skip
