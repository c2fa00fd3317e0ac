"""Records in which no text does anything where it is shown: what a device, a test's parameter or a file said is data.

Records are read from files as well, and somebody else may have written those. So every text of a record goes through
`tfm_harness.safe_text.safe` where the record is written, read and shown.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import weakref
from collections.abc import Hashable, Mapping
from typing import Any, Final, TypeVar, cast

from tfm_harness.safe_text import safe

__all__ = ["harmless", "needs_cleaning"]

T = TypeVar("T")
_last: weakref.ref[Any] | None = None
"""The record that was cleaned last. Records cannot change."""

# What `safe` would change, as it stands in JSON: a character that is not printable ASCII, an escape of one, the
# beginning of a CI system's command.
_SUSPICIOUS: Final = re.compile(rb'[^\x20-\x7e\n]|\\[urbft]|##|(?:"|\\n)\s*::')


def needs_cleaning(data: bytes) -> bool:
    """Whether a record's JSON may hold text that `harmless` would change; quick, for large records."""
    return _SUSPICIOUS.search(data) is not None


def harmless(record: T) -> T:
    """The record with every text in it made safe, at any depth; the same object where nothing is to change."""
    global _last  # noqa: PLW0603 - a run's record is summed up, written and shown, one after the other
    if _last is not None and _last() is record:
        return record
    cleaned = cast("T", _clean(record))
    try:
        _last = weakref.ref(cleaned) if dataclasses.is_dataclass(cleaned) else None
    except TypeError:  # no room for it; only trying tells: in Python 3.11.2 each class has the attribute
        _last = None
    return cleaned


def _clean(value: Any) -> Any:  # noqa: ANN401 - whatever a record holds
    if isinstance(value, str):
        return value if isinstance(value, enum.Enum) else safe(value)
    if value is None or isinstance(value, int | float | bytes):
        return value
    if isinstance(value, tuple):
        if value and isinstance(value[0], int | float):  # series of thousands of figures
            return value
        cleaned = tuple(_clean(item) for item in value)
        return value if all(new is old for new, old in zip(cleaned, value, strict=True)) else cleaned
    if isinstance(value, Mapping):
        pairs = {_clean(key): _clean(item) for key, item in value.items()}
        same = all(key in value and pairs[key] is value[key] for key in pairs) and len(pairs) == len(value)
        return value if same else pairs
    names = _fields(cast("Hashable", type(value)))  # mypy does not know that classes are
    if not names:
        return value
    changed = {}
    for name in names:
        old = getattr(value, name)
        new = _clean(old)
        if new is not old:
            changed[name] = new
    return dataclasses.replace(value, **changed) if changed else value


@functools.cache
def _fields(kind: type) -> tuple[str, ...]:
    if not dataclasses.is_dataclass(kind):
        return ()
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)
