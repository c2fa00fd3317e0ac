"""Sensor front-end: raw register counts to the int8 input tensor of the tamper model.

The same integer rule runs on the device (`partition/nn/sensor_frontend.h`):

    q = clamp_int8((raw - bias + (1 << (shift - 1))) >> shift)        # arithmetic shift

* magnetometer (LSM303DLHC, default gain, 1 count = 1/1100 gauss on x and y, 1/980 gauss on z): bias 640, shift 2
* temperature (TMP105, 12 bit, 1 count = 1/16 degC): bias 400, shift 1
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BIAS", "CHANNELS", "SHIFT", "WINDOW", "quantise_window"]

WINDOW = 32
"""Samples in a window."""

CHANNELS = 4
"""Values in a sample: magnetometer x, y, z, temperature."""

BIAS = np.array([640, 640, 640, 400], dtype=np.int32)
SHIFT = np.array([2, 2, 2, 1], dtype=np.int32)


def quantise_window(raw: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Quantise raw counts.

    Args:
        raw: shape (..., 4), int16 register counts in the order x, y, z, temperature.

    Returns:
        int8 of the same shape; in a window of shape (32, 4) this is the input tensor, oldest sample first.

    Raises:
        ValueError: the last axis is not 4 or a count does not fit int16.
    """
    if raw.shape[-1:] != (CHANNELS,):
        raise ValueError(f"last axis must hold {CHANNELS} channels, seen shape {raw.shape}")
    counts = raw.astype(np.int32)
    if counts.size and (counts.min() < -32768 or counts.max() > 32767):
        raise ValueError("a raw count does not fit int16")
    shifted = (counts - BIAS + (1 << (SHIFT - 1))) >> SHIFT
    return np.clip(shifted, -128, 127).astype(np.int8)
