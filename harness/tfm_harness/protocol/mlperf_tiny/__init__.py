"""Pseudo-driver client of the protocol ``mlperf-tiny``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.protocol.mlperf_tiny.answers import MlperfTinyRefused, TimedRun
    from tfm_harness.protocol.mlperf_tiny.client import MlperfTinyDriver

_HOMES = {"client": ("MlperfTinyDriver",), "answers": ("MlperfTinyRefused", "TimedRun")}

__all__ = ["MlperfTinyDriver", "MlperfTinyRefused", "TimedRun"]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)
