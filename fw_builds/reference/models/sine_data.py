"""Data of the `sine` model: y = sin(x) for x in [0, 2 pi)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["TWO_PI", "generate"]

TWO_PI = 2.0 * np.pi


def generate(seed: int, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Draw `count` points: x of shape (count, 1) in radians, uniform, and sin(x) of the same shape."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.0, TWO_PI, size=(count, 1))
    return x.astype(np.float32), np.sin(x).astype(np.float32)
