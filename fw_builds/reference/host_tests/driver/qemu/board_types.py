"""Names that the tests in QEMU share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qemu_board import QemuBoard

__all__ = ["REFERENCE", "Boot"]

REFERENCE = Path(__file__).resolve().parents[3]
Boot = Callable[..., QemuBoard]
