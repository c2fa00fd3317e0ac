"""Records in which no text does anything where it is shown: what a device, a test's parameter or a file said is data.

Records are read from files as well, and somebody else may have written those. So every text of a record goes through
`tfm_harness.safe_text.safe` where the record is written, read and shown.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import operator
import re
import weakref
from collections.abc import Hashable, Mapping
from typing import Any, Final, TypeVar, cast

from tfm_harness.safe_text import safe

__all__ = ["harmless", "needs_cleaning"]

T = TypeVar("T")
_clean: weakref.ref[Any] | None = None
"""The record that is known to be harmless. Records cannot change."""
_made: tuple[weakref.ref[Any], Any] | None = None
"""The record that `_clean` was made from, where it is another, and that record: kept as long as this one."""

# What `safe` would change, as it stands in JSON: a character that is not printable ASCII, an escape of one, the
# beginning of a CI system's command.
_SUSPICIOUS: Final = re.compile(rb'[^\x20-\x7e\n]|\\[urbft]|##|(?:"|\\n)\s*::')


def needs_cleaning(data: bytes) -> bool:
    """Whether a record's JSON may hold text that `harmless` would change; quick, for large records."""
    return _SUSPICIOUS.search(data) is not None


def harmless(record: T) -> T:
    """The record with every text in it made safe, at any depth; the same object where nothing is to change."""
    global _clean, _made  # noqa: PLW0603 - a run's record is summed up, written and shown, one after the other
    if _clean is not None and _clean() is record:
        return record
    if _made is not None and _made[0]() is record:
        return cast("T", _made[1])
    cleaned = cast("T", _cleaned(record, set()))
    _clean = _made = None
    if dataclasses.is_dataclass(cleaned):
        with contextlib.suppress(
            TypeError
        ):  # no room for it, as only trying tells: in 3.11.2 each class has the attribute
            _clean = weakref.ref(cleaned)
            _made = None if cleaned is record else (weakref.ref(record, _forget), cleaned)
    return cleaned


def _forget(gone: weakref.ref[Any]) -> None:
    global _made  # noqa: PLW0603 - as above
    if _made is not None and _made[0] is gone:
        _made = None


def _cleaned(value: Any, known: set[str]) -> Any:  # noqa: ANN401 - whatever a record holds
    """As `harmless`; `known` are texts that were found safe before: most of a large record's are the same few."""
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
        if value and isinstance(value[0], int | float):  # series of thousands of figures
            return value
        cleaned = tuple([_cleaned(item, known) for item in value])
        return value if all(map(operator.is_, cleaned, value)) else cleaned
    if isinstance(value, Mapping):
        pairs = {_cleaned(key, known): _cleaned(item, known) for key, item in value.items()}
        same = all(key in value and pairs[key] is value[key] for key in pairs) and len(pairs) == len(value)
        return value if same else pairs
    changed = {}
    for name in _fields(cast("Hashable", kind)):  # mypy does not know that classes are; none: no record's class
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
