"""The reference firmware's sensor front-end: raw register counts to the int8 input tensor.

Source of rule and constants: docs/protocol.md, "Sensor front-end". The harness computes the tensor
itself: the device's own tensor would prove nothing about the sensor path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError
from tfm_harness.extensions import Extension, blamed, find, load, names, wrong_type

__all__ = ["CHANNELS", "FRONTENDS", "WINDOW", "Frontend", "get_frontend", "window_records", "window_tensor"]

WINDOW = 32
"""Samples in a window."""

CHANNELS = 4
"""Values in a sample: magnetometer x, y, z, temperature."""

_BIAS = np.array([640, 640, 640, 400], dtype=np.int32)
_SHIFT = np.array([2, 2, 2, 1], dtype=np.int32)


class SampleLike(Protocol):
    """The part of `tfm_harness.stimulus.base.Sample` that is used here."""

    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def z(self) -> int: ...
    @property
    def t(self) -> int: ...
    @property
    def extra(self) -> Sequence[int]: ...


def window_records(samples: Iterable[SampleLike]) -> npt.NDArray[np.int32]:
    """Raw counts of samples, shape (n, 4 + further channels), oldest first.

    Raises:
        ValueError: a count does not fit int16.
    """
    rows = [(s.x, s.y, s.z, s.t, *s.extra) for s in samples]
    raw = np.array(rows, dtype=np.int64).reshape(len(rows), -1 if rows else CHANNELS)
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


Frontend: TypeAlias = Callable[[npt.NDArray[np.integer[Any]]], npt.NDArray[Any]]
"""Raw counts, shape (..., samples, channels), to input tensors; shape (..., anything of the input's size)."""

FRONTENDS: Mapping[str, Frontend] = {"reference": window_tensor}
"""Front-ends by their name in a build's YAML (``models.NAME.frontend``): from window of raw counts to input tensor."""


def get_frontend(name: str) -> Frontend:
    """The front-end of that name, built in or from the entry-point group ``tfm_harness.frontends``.

    Raises:
        ConfigError: kind ``frontend-unknown``.
        ExtensionError: the package that adds it cannot be used.
    """
    extension = find("frontends", name, FRONTENDS)
    if extension is not None:
        return _Guarded(extension)
    if name not in FRONTENDS:
        raise ConfigError(
            f"no sensor front-end is called {name!r}",
            kind="frontend-unknown",
            expected=", ".join(names("frontends", FRONTENDS)),
            seen=name,
        )
    return FRONTENDS[name]


class _Guarded:
    """A front-end of a package: its results are checked, and its own exceptions name the package."""

    def __init__(self, extension: Extension) -> None:
        self._extension = extension
        self._function = load(extension)
        if not callable(self._function):
            raise wrong_type(extension, self._function)

    def __call__(self, raw: npt.NDArray[np.integer[Any]]) -> npt.NDArray[Any]:
        with blamed(self._extension):
            made: object = self._function(raw)  # type: ignore[operator]  # __init__ has looked
        if not isinstance(made, np.ndarray) or made.shape[: raw.ndim - 2] != raw.shape[:-2]:
            seen = f"shape {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
            raise wrong_type(self._extension, f"a front-end that makes {seen} from windows of shape {raw.shape}")
        return made
