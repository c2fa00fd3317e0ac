"""The reference firmware's sensor front-end: raw register counts to the int8 input tensor.

Source of rule and constants: docs/protocol.md, "Sensor front-end". The harness computes the tensor
itself: the device's own tensor would prove nothing about the sensor path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError

__all__ = ["CHANNELS", "FRONTENDS", "WINDOW", "get_frontend", "window_records", "window_tensor"]

WINDOW = 32
"""Samples in a window."""

CHANNELS = 4
"""Values in a sample: magnetometer x, y, z, temperature."""

_BIAS = np.array([640, 640, 640, 400], dtype=np.int32)
_SHIFT = np.array([2, 2, 2, 1], dtype=np.int32)


class SampleLike(Protocol):
    """What `tfm_harness.stimulus.base.Sample` offers."""

    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def z(self) -> int: ...
    @property
    def t(self) -> int: ...


def window_records(samples: Iterable[SampleLike]) -> npt.NDArray[np.int32]:
    """Raw counts of samples, shape (n, 4), oldest first.

    Raises:
        ValueError: a count does not fit int16.
    """
    raw = np.array([(s.x, s.y, s.z, s.t) for s in samples], dtype=np.int64).reshape(-1, CHANNELS)
    if raw.size and (raw.min() < -32768 or raw.max() > 32767):
        raise ValueError("a raw count does not fit int16")
    return raw.astype(np.int32)


def window_tensor(raw: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int8]:
    """Quantise windows of raw counts: ``clamp_int8((raw - bias + (1 << (shift - 1))) >> shift)``.

    Args:
        raw: shape (..., 32, 4), register counts in the order x, y, z, temperature, oldest sample first.

    Returns:
        int8, the same shape; a model's input tensor after reshaping.

    Raises:
        ValueError: the last axes are not a window or a count does not fit int16.
    """
    if raw.shape[-2:] != (WINDOW, CHANNELS):
        raise ValueError(f"a window is {WINDOW} samples of {CHANNELS} values, seen shape {raw.shape}")
    counts = raw.astype(np.int64)
    if counts.size and (counts.min() < -32768 or counts.max() > 32767):
        raise ValueError("a raw count does not fit int16")
    shifted = (counts - _BIAS + (1 << (_SHIFT - 1))) >> _SHIFT
    quantised: npt.NDArray[np.int8] = np.clip(shifted, -128, 127).astype(np.int8)
    return quantised


FRONTENDS: Mapping[str, Callable[[npt.NDArray[np.integer[Any]]], npt.NDArray[np.int8]]] = {"reference": window_tensor}
"""By the name a build's YAML gives (``models.NAME.frontend``): window of raw counts to input tensor."""


def get_frontend(name: str) -> Callable[[npt.NDArray[np.integer[Any]]], npt.NDArray[np.int8]]:
    """The front-end of that name.

    Raises:
        ConfigError: kind ``frontend-unknown``.
    """
    if name not in FRONTENDS:
        raise ConfigError(
            f"no sensor front-end is called {name!r}",
            kind="frontend-unknown",
            expected=", ".join(FRONTENDS),
            seen=name,
        )
    return FRONTENDS[name]
