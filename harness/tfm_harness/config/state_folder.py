"""The folder on this host for data that outlives a run: virtual boards' identities, locks, ledgers, baselines."""

from __future__ import annotations

import os
from pathlib import Path

from tfm_harness.files import expanded, home, resolved

__all__ = ["state_dir"]


def state_dir(given: str = "") -> Path:
    """The given folder, else the user's own (XDG Base Directory Specification)."""
    if given:
        return resolved(expanded(Path(given)))
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else home() / ".local" / "state") / "tfm-harness"
