"""Finds the reference engine that a run will use, without starting it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["FIRST_UNFIT", "installed_engine", "unfit"]

FIRST_UNFIT = {"ai-edge-litert": (1, 3)}
"""From these versions on, an engine computes int8 and int16 fully connected with other kernels, so it is no oracle."""

_PACKAGES = ("tflite-runtime", "ai-edge-litert", "tflite-micro")


def unfit(package: str, found: str) -> bool:
    """Whether that version of an engine is known to be no oracle."""
    limit = FIRST_UNFIT.get(package)
    if limit is None:
        return False
    words = found.split(".")[: len(limit)]
    return tuple(int(word) if word.isdigit() else 0 for word in words) >= limit


def installed_engine() -> str:
    """Name and version of the first engine that is installed and fit; its self-test runs when it is first used."""
    for package in _PACKAGES:
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        if not unfit(package, found):
            return f"{package} {found}"
    from tfm_harness.parity.numpy_reference.version import VERSION

    return f"numpy-reference {VERSION}"
