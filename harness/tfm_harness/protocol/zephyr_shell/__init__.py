"""Pseudo-driver client of the protocol ``zephyr_shell``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver

_HOMES = {"client": ("ZephyrShellDriver",)}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["ZephyrShellDriver"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
