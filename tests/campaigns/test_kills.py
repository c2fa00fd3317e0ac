"""A few kills of the campaign, for each change; the whole one is a tool (`tests.campaigns.kills`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.kills import Plan, run
from tests.reference_firmware import needs_firmware


@pytest.mark.qemu
@needs_firmware
@pytest.mark.parametrize(
    ("kind", "kills"),
    [("qemu", 3), ("pool", 2)]
    + [pytest.param(kind, 8, marks=pytest.mark.nightly) for kind in ("fvp", "mps3", "probe")],
)
def test_what_a_killed_session_leaves(tmp_path: Path, kind: str, kills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFM_HARNESS_LOCK_DIR", str(tmp_path))  # the campaign sets its own; this puts it back
    assert not run([kind], Plan(kills, 1, limit=10.0, each=10, cold=2), tmp_path / "campaign")
