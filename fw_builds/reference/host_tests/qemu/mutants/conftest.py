"""Paths as for the other tests in QEMU."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parents[2]
sys.path[:0] = [str(HERE.parent), str(REFERENCE / "tools")]
