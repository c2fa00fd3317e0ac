"""Records made safe, once where the caller hands on what it was given."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tfm_harness.report import RunRecord, render_html
from tfm_harness.report import harmless as module
from tfm_harness.report.harmless import Harmless, harmless
from tfm_harness.safe_text import safe

from tests.history.records import record


@dataclass(frozen=True)
class Wide:
    text: str
    more: tuple[object, ...] = ()


@pytest.fixture
def cleaned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that were looked at."""
    found: list[str] = []
    look = safe

    def noticed(text: str) -> str:
        found.append(text)
        return look(text)

    monkeypatch.setattr(module, "safe", noticed)
    return found


def test_every_text_is_looked_at_and_a_safe_one_once(cleaned: list[str]) -> None:
    first = harmless(Wide("a\x1b[2J", (Wide("b", ("b", {"b": "\x1b"})),)))
    assert first.record == Wide("a\\x1b[2J", (Wide("b", ("b", {"b": "\\x1b"})),))
    assert cleaned == ["a\x1b[2J", "b", "\x1b"]


def test_what_is_safe_stays_the_same_object() -> None:
    right = Wide("c", ("d", ("e",)))
    assert harmless(right).record is right


def test_a_harmless_record_is_not_searched_again(cleaned: list[str]) -> None:
    clean = harmless(record())
    cleaned.clear()
    again: Harmless[RunRecord] = harmless(clean)
    assert again is clean
    render_html(clean)
    assert cleaned == []
    render_html(clean.record)  # a plain record, from wherever it may be
    assert cleaned


def test_what_calls_itself_harmless_is_a_type_of_its_own() -> None:
    """A record has no mark that a file could carry."""
    assert isinstance(harmless(Wide("a")), Harmless)
    assert not isinstance(harmless(Wide("a")).record, Harmless)
