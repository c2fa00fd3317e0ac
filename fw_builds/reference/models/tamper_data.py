"""Synthetic windows of the `tamper` model: raw sensor counts of a board that rests, shakes or is tampered with.

Everything is in register counts of the two sensors (see `sensor_frontend.py`), so the windows can also be played
into an emulated or a real sensor. Sensor noise follows the data sheets: the LSM303DLHC's magnetometer has about
2 mgauss rms (2 counts), the TMP105 repeats to about one 1/16 degC count. The classes overlap on purpose: weak
vibration sinks into the noise, slow handling looks like drift, and a resting board sees lone spikes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sensor_frontend import WINDOW

__all__ = ["LABELS", "generate"]

LABELS = ("idle", "vibration", "tamper")

_Counts = npt.NDArray[np.float64]


def _direction(rng: np.random.Generator) -> _Counts:
    """A unit vector, uniform over the sphere."""
    vector = rng.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


def _rest(rng: np.random.Generator) -> _Counts:
    """A board at rest: earth's field along some direction, slow drift, temperature with a slow trend."""
    time = np.arange(WINDOW) / WINDOW
    window = np.empty((WINDOW, 4))
    field = rng.uniform(350.0, 950.0, size=3)
    drift = rng.normal(0.0, 4.0, size=3)
    window[:, :3] = field + time[:, None] * drift
    window[:, 3] = rng.uniform(17.0, 34.0) * 16.0 + time * rng.normal(0.0, 2.0)
    return window


def _add_spike(rng: np.random.Generator, window: _Counts) -> None:
    """One sample disturbed, as by a relay or a motor nearby."""
    window[rng.integers(WINDOW), :3] += _direction(rng) * rng.uniform(15.0, 120.0)


def _add_vibration(rng: np.random.Generator, window: _Counts) -> None:
    """The field vector swings at one frequency with a harmonic and a slow envelope."""
    time = np.arange(WINDOW)
    frequency = rng.uniform(0.09, 0.47)  # cycles a sample; above 0.5 it would alias
    phase = rng.uniform(0.0, 2.0 * np.pi, size=2)
    swing = np.sin(2.0 * np.pi * frequency * time + phase[0])
    swing += rng.uniform(0.0, 0.5) * np.sin(4.0 * np.pi * frequency * time + phase[1])
    envelope = 1.0 + rng.uniform(0.0, 0.5) * np.sin(np.pi * time / WINDOW + rng.uniform(0.0, np.pi))
    window[:, :3] += np.outer(swing * envelope, _direction(rng)) * np.exp(rng.uniform(np.log(14.0), np.log(140.0)))


def _add_tamper(rng: np.random.Generator, window: _Counts) -> None:
    """A magnet comes near, or the board is turned, or its lid is opened (field and temperature change)."""
    time = np.arange(WINDOW)
    onset = rng.uniform(3.0, WINDOW - 6.0)
    rise = 1.0 / (1.0 + np.exp(-(time - onset) / rng.uniform(0.3, 2.0)))
    if rng.random() < 0.3:  # the magnet goes away again
        rise -= 1.0 / (1.0 + np.exp(-(time - onset - rng.uniform(6.0, 14.0)) / rng.uniform(0.3, 2.0)))
    window[:, :3] += np.outer(rise, _direction(rng)) * np.exp(rng.uniform(np.log(70.0), np.log(500.0)))
    if rng.random() < 0.5:
        window[:, 3] -= np.maximum(time - onset, 0.0) / WINDOW * rng.uniform(16.0, 100.0)


def generate(seed: int, count: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Draw windows.

    Returns:
        raw counts, int16 of shape (count, 32, 4), and the class of each window (index into `LABELS`).
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(LABELS), size=count)
    windows = np.empty((count, WINDOW, 4), dtype=np.int16)
    for index, label in enumerate(labels):
        window = _rest(rng)
        if rng.random() < 0.15:
            _add_spike(rng, window)
        if label == 1 or (label == 2 and rng.random() < 0.25):  # tampering shakes the board, too
            _add_vibration(rng, window)
        if label == 2:
            _add_tamper(rng, window)
        window += rng.normal(0.0, [2.2, 2.2, 2.2, 0.6], size=window.shape)
        limits = np.array([2047, 2047, 2047, 2047])
        windows[index] = np.clip(np.rint(window), 0, limits).astype(np.int16)
    return windows, labels
