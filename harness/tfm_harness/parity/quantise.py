"""Converts real numbers to a model's integers: the rule is part of the device's contract.

Firmware differs: TFLite's QUANTIZE rounds half away from zero, hand-written C often truncates
toward zero. A wrong rule shows up as differences in hundreds of vectors, so the build's YAML names it.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError
from tfm_harness.parity.model_info import TensorInfo

__all__ = ["QuantisationRule", "dequantise", "quantise"]


class QuantisationRule(enum.StrEnum):
    """The rule by which the firmware turns `x / scale + zero_point` into an integer."""

    ROUND = "round"  # half away from zero: TfLiteRound, C's round()
    ROUND_EVEN = "round-even"  # half to even: lrintf, numpy
    TRUNCATE = "truncate"  # toward zero: a C cast
    FLOOR = "floor"


def quantise(
    real: npt.ArrayLike, tensor: TensorInfo, rule: QuantisationRule = QuantisationRule.ROUND
) -> npt.NDArray[Any]:
    """Quantise to `tensor`'s type, in single precision as devices do, clamped to the type's range.

    Args:
        real: any shape; values in the model's real unit.
        tensor: an int8, uint8, int16 or int32 tensor with one scale, or a float32 tensor (passed through).
        rule: the firmware's rule.

    Returns:
        Array of `tensor.dtype`, the same shape.

    Raises:
        ConfigError: kind ``input-not-finite``, ``input-not-quantisable``.
    """
    values = np.asarray(real, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ConfigError(
            f"input {tensor.name} holds NaN or infinity", kind="input-not-finite", expected="finite numbers"
        )
    if tensor.dtype == "float32":
        return values
    scale, zero = _affine(tensor)
    scaled = values / np.float32(scale)
    # Order matters for truncation: firmware adds the zero point as a float, then casts.
    shifted = scaled + np.float32(zero)
    if rule is QuantisationRule.ROUND:
        result = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + np.float32(zero)
    elif rule is QuantisationRule.ROUND_EVEN:
        result = np.rint(scaled) + np.float32(zero)
    elif rule is QuantisationRule.TRUNCATE:
        result = np.trunc(shifted)
    else:
        result = np.floor(shifted)
    limits = np.iinfo(tensor.dtype)
    clipped: npt.NDArray[Any] = np.clip(result.astype(np.float64), limits.min, limits.max).astype(tensor.dtype)
    return clipped


def dequantise(values: npt.NDArray[Any], tensor: TensorInfo) -> npt.NDArray[np.float64]:
    """Real numbers of a tensor: scale * (q - zero_point); plain conversion without quantisation.

    Args:
        values: shape (..., *tensor.shape).
    """
    result: npt.NDArray[np.float64] = values.astype(np.float64)
    quant = tensor.quantisation
    if quant is None or tensor.dtype == "float32":
        return result
    extents = [1] * len(tensor.shape)
    if not quant.per_tensor:
        extents[quant.dimension] = len(quant.scales)
    scale, zero = np.reshape(quant.scales, extents), np.reshape(quant.zero_points, extents)
    return np.asarray((result - zero) * scale, dtype=np.float64)


def _affine(tensor: TensorInfo) -> tuple[float, int]:
    quant = tensor.quantisation
    if quant is None or not quant.per_tensor or quant.scales[0] <= 0:
        raise ConfigError(
            f"input {tensor.name} cannot be quantised from real numbers",
            kind="input-not-quantisable",
            expected="one positive scale and zero point in the model",
            seen="no quantisation" if quant is None else f"{len(quant.scales)} scales",
            hint=f"give {tensor.dtype} values instead of real numbers",
        )
    return quant.scales[0], quant.zero_points[0]
