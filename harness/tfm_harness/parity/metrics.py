"""Numbers that describe a difference. Pure: arrays in, numbers out; nothing here passes judgement."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["cosine", "equal_bits", "lsb_histogram", "sqnr_db", "top1_agreement"]

Array = npt.NDArray[Any]


def equal_bits(reference: Array, device: Array) -> npt.NDArray[np.bool_]:
    """Whether the bits are the same, element by element. NaN equals itself; -0.0 is not 0.0."""
    if reference.dtype.kind != "f":
        return np.asarray(reference == device)
    unsigned = np.dtype(f"u{reference.dtype.itemsize}")
    return np.asarray(np.ascontiguousarray(reference).view(unsigned) == np.ascontiguousarray(device).view(unsigned))


def lsb_histogram(reference: Array, device: Array) -> dict[int, int]:
    """Count of elements by signed difference (device - reference) of integer arrays."""
    difference = device.astype(np.int64) - reference.astype(np.int64)
    values, counts = np.unique(difference, return_counts=True)
    return {int(v): int(c) for v, c in zip(values, counts, strict=True)}


def sqnr_db(reference: Array, device: Array) -> float | None:
    """Signal to quantisation noise ratio in dB over all elements; None when there is no noise.

    10 log10(sum(reference^2) / sum((device - reference)^2)), arguments in real units. -inf when there is noise
    but no signal, or when one side is not finite where the other side is finite or a different such value: no
    finite number describes that noise. Elements at which both hold the same infinity or both NaN are left out.
    """
    ref, dev = reference.astype(np.float64), device.astype(np.float64)
    same = (ref == dev) | (np.isnan(ref) & np.isnan(dev))
    usable = np.isfinite(ref) & np.isfinite(dev)
    if not (usable | same).all():
        return -math.inf
    ref, dev = ref[usable], dev[usable]
    with np.errstate(over="ignore"):
        signal, noise = float(np.sum(ref * ref)), float(np.sum((dev - ref) ** 2))
    if noise == 0:
        return None
    return 10.0 * math.log10(signal / noise) if signal > 0 and math.isfinite(noise) else -math.inf


def cosine(reference: Array, device: Array) -> npt.NDArray[np.float64]:
    """Cosine similarity for each vector, shape (n,); 1 where both are zero, 0 where one is.

    Args:
        reference, device: shape (n, elements), in real units.
    """
    # Bounded, so that infinities do not overflow the squares; no float32 comes near the bound.
    ref, dev = (np.clip(np.nan_to_num(a.astype(np.float64)), -1e100, 1e100) for a in (reference, device))
    dot = np.sum(ref * dev, axis=1)
    length = np.linalg.norm(ref, axis=1) * np.linalg.norm(dev, axis=1)
    both_zero = (np.abs(ref).sum(axis=1) == 0) & (np.abs(dev).sum(axis=1) == 0)
    found = np.divide(dot, length, out=np.zeros_like(dot), where=length > 0)
    return np.where(both_zero, 1.0, np.clip(found, -1.0, 1.0))


def top1_agreement(reference: Array, device: Array) -> float | None:
    """Share of vectors with the same largest element (first on a tie); None for one-element outputs."""
    if reference.shape[1] < 2 or not len(reference):
        return None
    return float(np.mean(np.argmax(reference, axis=1) == np.argmax(device, axis=1)))
