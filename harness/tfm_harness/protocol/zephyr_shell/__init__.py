"""Pseudo-driver client of the protocol ``zephyr_shell``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver
    from tfm_harness.protocol.zephyr_shell.evidence import (
        INPUTS_KEPT,
        MODELS_LISTED,
        PRINTED,
        SIGNED_IS_PLAIN,
        TOKEN_MODEL,
        TOKEN_STABLE,
        plain_value,
        signed_value,
    )

_HOMES = {
    "client": ("ZephyrShellDriver",),
    "evidence": (
        "INPUTS_KEPT",
        "MODELS_LISTED",
        "PRINTED",
        "SIGNED_IS_PLAIN",
        "TOKEN_MODEL",
        "TOKEN_STABLE",
        "plain_value",
        "signed_value",
    ),
}

__all__ = [
    "INPUTS_KEPT",
    "MODELS_LISTED",
    "PRINTED",
    "SIGNED_IS_PLAIN",
    "TOKEN_MODEL",
    "TOKEN_STABLE",
    "ZephyrShellDriver",
    "plain_value",
    "signed_value",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
