"""A sensor front-end of its own: the mean of a window, channel by channel, as int8.

The rule must be the firmware's, to the bit: integers only, and a rounding that is written down.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def mean_of_window(raw: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int8]:
    """Raw counts, shape (..., samples, channels), to tensors, shape (..., channels): floor of the mean, over 16."""
    means = raw.astype(np.int64).sum(axis=-2) // raw.shape[-2]
    tensors: npt.NDArray[np.int8] = np.clip(means >> 4, -128, 127).astype(np.int8)
    return tensors
