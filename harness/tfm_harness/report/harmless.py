"""Makes the texts of records harmless: text from a device, a test's parameter or a file must not act where it is shown.

Records are read from files as well, and somebody else may have written these. So every text of a record goes through
`tfm_harness.safe_text.safe` when the record is written, read and shown.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import operator
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast, final

from tfm_harness.safe_text import safe

__all__ = ["Harmless", "harmless", "needs_cleaning"]

T = TypeVar("T")
# What `safe` would change, in its form in JSON: a character that is not printable ASCII, an escape of one, the
# beginning of a CI system's command.
_SUSPICIOUS: Final = re.compile(rb'[^\x20-\x7e\n]|\\[urbft]|##|(?:"|\\n)\s*::')


def needs_cleaning(data: bytes) -> bool:
    """Whether a record's JSON may hold text that `harmless` would change; quick, for large records."""
    return _SUSPICIOUS.search(data) is not None


@final
@dataclass(frozen=True, slots=True)
class Harmless(Generic[T]):
    """A record whose texts `harmless` has made safe, so that they are not searched again, which takes long."""

    record: T


def harmless(record: T | Harmless[T]) -> Harmless[T]:
    """The record with every text in it made safe, at any depth; the same object if no text changes."""
    return record if isinstance(record, Harmless) else Harmless(cast("T", _cleaned(record, set())))


def _cleaned(value: Any, known: set[str]) -> Any:  # noqa: ANN401 - whatever a record holds
    """Like `harmless`; `known` are texts that were found to be safe: most texts of a large record are the same few."""
    kind = type(value)
    if kind is str:
        if value in known:
            return value
        text = safe(value)
        if text == value:
            known.add(value)
            return value
        return text
    if value is None or isinstance(value, int | float | bytes | enum.Enum):
        return value
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, tuple):
        if value and isinstance(value[0], int | float):  # a series may have thousands of figures, and no text
            return value
        cleaned = tuple([_cleaned(item, known) for item in value])
        return value if all(map(operator.is_, cleaned, value)) else cleaned
    if isinstance(value, Mapping):
        pairs = {_cleaned(key, known): _cleaned(item, known) for key, item in value.items()}
        same = all(key in value and pairs[key] is value[key] for key in pairs) and len(pairs) == len(value)
        return value if same else pairs
    changed = {}
    for name in _fields(cast("Hashable", kind)):  # mypy takes classes for unhashable
        old = getattr(value, name)
        new = _cleaned(old, known)
        if new is not old:
            changed[name] = new
    return dataclasses.replace(value, **changed) if changed else value


@functools.cache
def _fields(kind: type) -> tuple[str, ...]:
    if not dataclasses.is_dataclass(kind):
        return ()
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)
