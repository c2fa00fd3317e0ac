"""Valid models with more than 2^16 values between a small input and a small output, and sums of many rows.

No input of the protocol is that large, so a padding operator makes the tensor. The input's values are at its end: an
index of sixteen bits would find padding instead of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfm_harness.testing.tflite_builder import Graph, Op, Tensor

__all__ = ["LARGE"]

_VALID = 1
_ROWS, _COLUMNS, _DEPTH = 250, 200, 2
_STRIDE = 8


def _padded(rows: int, columns: int, depth: int) -> tuple[list[Tensor], Op]:
    """A small input, the large tensor that has it at its end, and the padding operator between them."""
    source = [1, 9, 8, depth]
    before = [[0, 0], [rows - source[1], 0], [columns - source[2], 0], [0, 0]]
    tensors = [
        Tensor(source, 1.0, 3),
        Tensor([1, rows, columns, depth], 1.0, 3),
        Tensor([4, 2], dtype="int32", data=np.array(before)),
    ]
    return tensors, Op("PAD", [0, 2], [1], {})


def _window(name: str) -> Graph:
    """A pooling or a convolution over the whole tensor; the last window ends with the tensor."""
    tensors, padding = _padded(_ROWS, _COLUMNS, _DEPTH)
    options: dict[str, object] = {"padding": _VALID, "stride_w": _STRIDE, "stride_h": _STRIDE, "activation": 0}
    rows, columns = (_ROWS - 10) // _STRIDE + 1, (_COLUMNS - 8) // _STRIDE + 1
    output = [1, rows, columns, _DEPTH]
    if name.endswith("POOL_2D"):
        options |= {"filter_h": 10, "filter_w": 8}
        return Graph([*tensors, Tensor(output, 1.0, 3)], [padding, Op(name, [1], [3], options)])
    single = name == "CONV_2D"
    if not single:
        options["depth_multiplier"] = 1
    shape = [_DEPTH, 10, 8, _DEPTH] if single else [1, 10, 8, _DEPTH]
    weights = np.random.default_rng(16).integers(-128, 128, size=shape).astype(np.int8)
    further = [
        Tensor(shape, [1.0, 0.5], 0, data=weights, axis=0 if single else 3),
        Tensor([_DEPTH], [1.0, 0.5], 0, "int32", np.array([300, -200])),
        Tensor(output, 2.0**10, 5),
    ]
    return Graph([*tensors, *further], [padding, Op(name, [1, 3, 4], [5], options)])


def _mean(*over: int) -> Graph:
    """A mean over these dimensions: of 50,000 values for each channel, or of all values; most of them are zero."""
    tensors, padding = _padded(_ROWS, _COLUMNS, _DEPTH)
    axes = Tensor([len(over)], dtype="int32", data=np.array(over))
    output = Tensor([1, _DEPTH][: 4 - len(over)], 2.0**-9, 4)
    return Graph([*tensors, axes, output], [padding, Op("MEAN", [1, 3], [4], {"keep_dims": False})])


def _product() -> Graph:
    """A matrix product of 17,500 rows of four values."""
    tensors, padding = _padded(125, 140, 4)
    options: dict[str, object] = {
        "padding": _VALID, "stride_w": 5, "stride_h": 5, "filter_w": 5, "filter_h": 5, "activation": 0,
    }  # fmt: skip
    further = [
        Tensor([1, 4], 1.0, 0, data=np.array([[90, -70, 50, 30]], np.int8)),
        Tensor([1], 1.0, 0, "int32", np.array([77])),
        Tensor([17500, 1], 2.0**7, -5),
        Tensor([1, 125, 140, 1], 2.0**7, -5),
        Tensor([4], dtype="int32", data=np.array([1, 125, 140, 1])),
        Tensor([1, 25, 28, 1], 2.0**7, -5),
    ]
    ops = [
        padding,
        Op("FULLY_CONNECTED", [1, 3, 4], [5], {"activation": 0}),
        Op("RESHAPE", [5, 7], [6]),
        Op("MAX_POOL_2D", [6], [8], options),
    ]
    return Graph([*tensors, *further], ops)


def _addition(first: list[int], second: list[int]) -> Graph:
    """An addition of a constant that is repeated along one dimension, with many rows or batches."""
    data = np.random.default_rng(13).integers(-128, 128, size=second).astype(np.int8)
    return Graph(
        [Tensor(first, 0.25, 9), Tensor(first, 1.0, -3), Tensor(second, 0.5, -20, data=data)],
        [Op("ADD", [0, 2], [1], {"activation": 0})],
    )


LARGE: dict[str, Callable[[], Graph]] = {
    "maximum over 100000 values": lambda: _window("MAX_POOL_2D"),
    "average over 100000 values": lambda: _window("AVERAGE_POOL_2D"),
    "convolution over 100000 values": lambda: _window("CONV_2D"),
    "depthwise convolution over 100000 values": lambda: _window("DEPTHWISE_CONV_2D"),
    "mean of 100000 values": lambda: _mean(1, 2),
    "mean of 100000 values in one": lambda: _mean(1, 2, 3),
    "matrix product of 17500 rows": _product,
    "addition of 140 rows, columns alike": lambda: _addition([1, 140, 3, 4], [1, 140, 1, 4]),
    "addition of 140 batches, rows alike": lambda: _addition([140, 2, 3, 2], [140, 1, 3, 2]),
    "addition of 140 columns, channels alike": lambda: _addition([2, 3, 140, 2], [2, 3, 140, 1]),
}
"""Makers of the models by name."""
