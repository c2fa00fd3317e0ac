"""Pseudo-driver client of the protocol ``zephyr_shell``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver

_HOMES = {"client": ("ZephyrShellDriver",)}

__all__ = ["ZephyrShellDriver"]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
