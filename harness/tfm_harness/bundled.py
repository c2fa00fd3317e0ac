"""Files that come with the harness beside its code: suites, targets, builds, documentation."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SUITES", "bundled"]

_PACKAGE = Path(__file__).resolve().parent

SUITES = (
    "boot",
    "isolation",
    "sensor",
    "results",
    "attestation",
    "parity",
    "latency",
    "provisioning",
    "update",
    "robustness",
    "confidentiality",
    "bus",
    "abuse",
    "storage",
    "skip",
)
"""The suites that come with the harness and judge its protocols, in the order in which pages show them."""


def bundled(name: str) -> Path:
    """A folder (or file) of the top level: the wheel's copy, or the checkout's own.

    Relative paths are the same in both, so that links between pages work in both.
    """
    copy = _PACKAGE / "_bundled" / name
    return copy if copy.exists() else _PACKAGE.parents[1] / name
