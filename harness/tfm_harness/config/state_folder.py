"""Where what outlives a run is kept on this host: virtual boards' identities, locks, ledgers, baselines."""

from __future__ import annotations

import os
from pathlib import Path

from tfm_harness.files import expanded, home, resolved

__all__ = ["state_dir"]


def state_dir(given: str = "") -> Path:
    """The folder that was given, else the user's own (XDG Base Directory Specification)."""
    if given:
        return resolved(expanded(Path(given)))
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else home() / ".local" / "state") / "tfm-harness"
