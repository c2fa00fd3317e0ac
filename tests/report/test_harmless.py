"""Records made safe: whatever their classes offer to Python."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
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
