"""Arrays of a model's tensors: brings inputs into form without converting them, and joins parts of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError
from tfm_harness.parity.model_info import ModelInfo, TensorInfo

__all__ = ["Arrays", "check_inputs", "join"]

Arrays = list[npt.NDArray[Any]]
"""One array (n, *shape) for each tensor."""


def check_inputs(info: ModelInfo, inputs: Sequence[npt.ArrayLike] | npt.ArrayLike) -> Arrays:
    """Bring inputs into one array (n, *shape) for each input tensor; never converts values.

    A single array, or one without the batch axis, is accepted if that is unambiguous.

    Raises:
        ConfigError: kind ``input-count``, ``input-type``, ``input-shape``.
    """
    given: list[Any] = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if len(given) != len(info.inputs):
        raise ConfigError(
            f"{info.name} takes {len(info.inputs)} inputs",
            kind="input-count",
            expected=", ".join(f"{t.name} {list(t.shape)} {t.dtype}" for t in info.inputs),
            seen=f"{len(given)} arrays",
        )
    arrays: Arrays = []
    for position, (value, tensor) in enumerate(zip(given, info.inputs, strict=True)):
        array = np.asarray(value)
        if array.dtype != np.dtype(tensor.dtype):
            raise ConfigError(
                f"input {position} of {info.name} has the wrong type",
                kind="input-type",
                expected=tensor.dtype,
                seen=str(array.dtype),
                hint="quantise real numbers with tfm_harness.parity.quantise and the build's rule",
            )
        if array.shape == tensor.shape:
            array = array[np.newaxis]
        elif array.shape[1:] != tensor.shape:
            if array.ndim < 1 or array[:1].size != tensor.elements:
                raise ConfigError(
                    f"input {position} of {info.name} has the wrong shape",
                    kind="input-shape",
                    expected=f"(n, {', '.join(map(str, tensor.shape))})",
                    seen=str(array.shape),
                )
            array = array.reshape(len(array), *tensor.shape)
        arrays.append(array)
    if len({len(a) for a in arrays}) != 1:
        raise ConfigError(
            f"inputs of {info.name} hold different numbers of vectors",
            kind="input-count",
            expected="the same first dimension for all",
            seen=str([len(a) for a in arrays]),
        )
    return arrays


def join(parts: Sequence[Sequence[npt.NDArray[Any]]], tensors: Sequence[TensorInfo]) -> Arrays:
    """Join parts of many vectors in order: one array (n, *shape) of its type for each tensor, n from 0."""
    if not parts:
        return [np.empty((0, *t.shape), dtype=t.dtype) for t in tensors]
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return [array.astype(t.dtype, copy=False) for array, t in zip(joined, tensors, strict=True)]
