"""What the suite abuse searches for secrets: the memory that the last calls changed, and where it stood."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = bytes(range(1, 33))


@pytest.mark.parametrize("at", [0, 1000, 1024, 2047, 5000, 8192 - 32])
def test_what_was_written_is_whole_in_what_changed(at: int) -> None:
    changed = runpy.run_path(str(ROOT / "suites" / "abuse" / "test_abuse.py"))["changed"]
    before = bytes(8192)
    now = before[:at] + SECRET + before[at + 32 :]
    data, places = changed(before, now)
    found = data.index(SECRET)
    assert places[found // 1024] + found % 1024 == at
    assert len(data) <= 3072
    assert changed(now, now) == (b"", [])
    assert changed(b"", now)[0] == now
