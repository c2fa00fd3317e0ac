"""Which reference engines this Python has: tests take the one that is there."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

__all__ = ["OPTIMISED", "TFLITE", "needs_optimised", "needs_tflite"]

TFLITE = next(
    (name for name in ("tflite-runtime", "ai-edge-litert") if find_spec(name.replace("-", "_")) is not None), ""
)
"""TensorFlow Lite on the host, whichever package it comes in."""

OPTIMISED = f"{TFLITE}-default"
"""The same with its optimised kernels, which are no oracle."""

needs_tflite = pytest.mark.skipif(
    not TFLITE, reason="neither tflite-runtime nor ai-edge-litert 1.2 has a wheel for this Python"
)
needs_optimised = pytest.mark.skipif(
    not TFLITE,
    reason="no engine with optimised kernels: tflite-runtime and ai-edge-litert have no wheel for this Python",
)
