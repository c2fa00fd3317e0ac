"""Paths and tools of the SPE's host tests."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "tools")]

from shown_figures import pytest_terminal_summary, show_figure  # noqa: E402, F401  # found through the line above; pytest's
