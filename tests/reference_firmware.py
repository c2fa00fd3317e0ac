"""The reference firmware, for tests that run it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

__all__ = ["FIRMWARE", "ROOT", "needs_firmware"]

ROOT: Final = Path(__file__).resolve().parents[1]
FIRMWARE: Final = ROOT / "fw_builds" / "reference"

needs_firmware = pytest.mark.skipif(
    not (FIRMWARE / "out" / "secure.elf").is_file(),
    reason="the reference firmware is not built: make -C fw_builds/reference",
)
