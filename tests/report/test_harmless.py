"""Records made safe: whatever their classes offer to Python."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import pytest
from tfm_harness.report import harmless as module
from tfm_harness.report.harmless import harmless


@dataclass(frozen=True, slots=True)
class Narrow:
    text: str


def test_a_record_that_takes_no_weak_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2 leaves the attribute in classes that have no room for it."""
    monkeypatch.setattr(Narrow, "__weakref__", None, raising=False)
    clean = Narrow("well")
    assert harmless(clean) is clean
    assert "\x1b" not in harmless(Narrow("a\x1b[2J")).text


@dataclass(frozen=True)
class Wide:
    text: str
    more: tuple[object, ...] = ()


def test_a_record_is_cleaned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written, shown and summed up, each time through `harmless`: a large one takes seconds."""
    cleaned: list[str] = []

    def noticed(text: str) -> str:
        cleaned.append(text)
        return text.replace("\x1b", "\\x1b")

    monkeypatch.setattr(module, "safe", noticed)
    record = Wide("a\x1b[2J", (Wide("b", ("b", {"b": "\x1b"})),))
    first = harmless(record)
    assert first == Wide("a\\x1b[2J", (Wide("b", ("b", {"b": "\\x1b"})),))
    assert cleaned == ["a\x1b[2J", "b", "\x1b"]  # a text that was safe is not asked again
    assert harmless(record) is first
    assert harmless(first) is first
    assert len(cleaned) == 3
    other = Wide("c")
    assert harmless(other) is other
    assert harmless(record) == first
    assert len(cleaned) == 7


def test_what_was_cleaned_is_kept_no_longer_than_its_record() -> None:
    record = Wide("a\x1b[2J")
    cleaned = weakref.ref(harmless(record))
    gc.collect()
    assert cleaned() is not None
    del record
    gc.collect()
    assert cleaned() is None
    again = harmless(Wide("\x1b"))  # read from a file: nobody keeps the record itself
    assert harmless(again) is again
