"""Valid models as wide as real networks, to find errors only after the 8th, 16th or 64th value, and at ties.

The random models of `one_operator` are small. A kernel that processes several values at once (Helium, SIMD) can fail in
the rest after the last whole group, and only if there is more than one group. Scales are powers of two here, so that
many sums lie exactly between two outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tfm_harness.testing.large_models import LARGE
from tfm_harness.testing.tflite_builder import Graph, Op, Tensor

__all__ = ["WIDE"]

_SAME, _VALID = 0, 1


def _weights(seed: int, *shape: int) -> npt.NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, size=shape).astype(np.int8)


def _bias(seed: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, 1]).integers(-3000, 3000, size=count)


def _product(
    shapes: tuple[list[int], list[int], list[int]],
    name: str,
    options: dict[str, object],
    *,
    exponent: int,
    axis: int = 0,
) -> Graph:
    """One product operator; `shapes` are input, weights and output.

    A sum of 2^`exponent`, or twice or four times that, is one step of the output.
    """
    source, filter_shape, output = shapes
    channels = output[-1]
    scales = [2.0 ** -(n % 3) for n in range(channels)]
    return Graph(
        [
            Tensor(source, 1.0, -7),
            Tensor(filter_shape, scales, 0, data=_weights(channels, *filter_shape), axis=axis),
            Tensor([channels], scales, 0, "int32", _bias(channels, channels)),
            Tensor(output, 2.0**exponent, 5),
        ],
        [Op(name, [0, 1, 2], [3], options)],
    )


def _conv(
    source: list[int], window: tuple[int, int], output: list[int], exponent: int, *, multiplier: int = 0, **more: object
) -> Graph:
    depth, channels = source[-1], output[-1]
    options: dict[str, object] = {"padding": _VALID, "stride_w": 1, "stride_h": 1, "activation": 0, **more}
    if multiplier:
        options["depth_multiplier"] = multiplier
        shapes = source, [1, *window, channels], output
        return _product(shapes, "DEPTHWISE_CONV_2D", options, exponent=exponent, axis=3)
    return _product((source, [channels, *window, depth], output), "CONV_2D", options, exponent=exponent)


def _dense(rows: int, depth: int, units: int, exponent: int) -> Graph:
    shapes = ([rows, depth], [units, depth], [rows, units])
    return _product(shapes, "FULLY_CONNECTED", {"activation": 0}, exponent=exponent)


def _offset() -> Graph:
    """Weights with one scale and a zero point, which only a matrix product may have."""
    return Graph(
        [
            Tensor([2, 77], 1.0, -7),
            Tensor([9, 77], 0.5, -17, data=_weights(9, 9, 77)),
            Tensor([9], 0.5, 0, "int32", _bias(9, 9)),
            Tensor([2, 9], 2.0**10, 5),
        ],
        [Op("FULLY_CONNECTED", [0, 1, 2], [3], {"activation": 0})],
    )


def _long_sums(name: str) -> Graph:
    """Weights of the same sign in each channel, so that sums reach 26 bits."""
    convolved, depth = name == "CONV_2D", 2900
    weights = np.random.default_rng(26).integers(90, 128, size=(3, depth)) * np.array([[1], [-1], [1]])
    lead, options = ([1, 1], {"padding": _VALID, "stride_w": 1, "stride_h": 1}) if convolved else ([], {})
    shape = [3, *lead, depth]
    return Graph(
        [
            Tensor([1, *lead, depth], 1.0, -7),
            Tensor(shape, [1.0, 0.5, 2.0], 0, data=weights.astype(np.int8).reshape(shape)),
            Tensor([3], [1.0, 0.5, 2.0], 0, "int32", _bias(3, 3)),
            Tensor([1, *lead, 3], 2.0**18, 5),
        ],
        [Op(name, [0, 1, 2], [3], {**options, "activation": 0})],
    )


def _large_between() -> Graph:
    """Tensors of 12,000 values between a small input and a small output."""
    window = {"padding": _VALID, "stride_w": 7, "stride_h": 7, "filter_w": 8, "filter_h": 8, "activation": 0}
    return Graph(
        [
            Tensor([1, 20, 25, 5], 0.1, 3),
            Tensor([1, 40, 60, 5], 0.1, 3),
            Tensor([1, 60, 40, 5], 0.1, 3),
            Tensor([1, 60, 40, 5], 0.25, -9),
            Tensor([1, 8, 5, 5], 0.25, -9),
            Tensor([4, 2], dtype="int32", data=np.array([[0, 0], [9, 11], [20, 15], [0, 0]])),
            Tensor([4], dtype="int32", data=np.array([1, 60, 40, 5])),
        ],
        [
            Op("PAD", [0, 5], [1], {}),
            Op("RESHAPE", [1, 6], [2]),
            Op("ADD", [2, 2], [3], {"activation": 0}),
            Op("MAX_POOL_2D", [3], [4], window),
        ],
    )


def _add() -> Graph:
    """A sum of two inputs whose scales differ by a power of two."""
    data = np.random.default_rng(11).integers(-128, 128, size=(1037,)).astype(np.int8)
    return Graph(
        [Tensor([2, 1037], 0.25, 9), Tensor([2, 1037], 1.0, -3), Tensor([1037], 0.5, -20, data=data)],
        [Op("ADD", [0, 2], [1], {"activation": 0})],
    )


def _pool_valid(name: str, source: list[int], window: tuple[int, int]) -> Graph:
    batches, rows, columns, depth = source
    options: dict[str, object] = {
        "padding": _VALID, "stride_w": 1, "stride_h": 1, "filter_h": window[0], "filter_w": window[1], "activation": 0,
    }  # fmt: skip
    output = [batches, rows - window[0] + 1, columns - window[1] + 1, depth]
    return Graph([Tensor(source, 0.1, 3), Tensor(output, 0.1, 3)], [Op(name, [0], [1], options)])


def _added_rows() -> Graph:
    """One row is added to each of 270 rows."""
    data = np.random.default_rng(12).integers(-128, 128, size=(1, 5)).astype(np.int8)
    return Graph(
        [Tensor([270, 5], 0.25, 9), Tensor([270, 5], 1.0, -3), Tensor([1, 5], 0.5, -20, data=data)],
        [Op("ADD", [0, 2], [1], {"activation": 0})],
    )


def _pool(name: str) -> Graph:
    options: dict[str, object] = {
        "padding": _SAME, "stride_w": 3, "stride_h": 2, "filter_w": 7, "filter_h": 6, "activation": 0,
    }  # fmt: skip
    return Graph([Tensor([1, 9, 8, 37], 0.1, 3), Tensor([1, 5, 3, 37], 0.1, 3)], [Op(name, [0], [1], options)])


def _simple(name: str, source: Tensor, output: Tensor, constant: object = None, options: object = None) -> Graph:
    """One operator, with a constant of int32 as its second input."""
    tensors, inputs = [source, output], [0]
    if constant is not None:
        data = np.array(constant)
        tensors.append(Tensor(list(data.shape), dtype="int32", data=data))
        inputs.append(2)
    return Graph(tensors, [Op(name, inputs, [1], options)])  # type: ignore[arg-type]


WIDE: dict[str, Callable[[], Graph]] = {
    "convolution of 37 channels into 67": lambda: _conv([2, 1, 2, 37], (1, 1), [2, 1, 2, 67], 9),
    "matrix product of 3 rows of 131 into 19": lambda: _dense(3, 131, 19, 10),
    "depthwise convolution of 69 channels": lambda: _conv([1, 1, 9, 69], (1, 9), [1, 1, 1, 69], 8, multiplier=1),
    "depthwise convolution of 3 channels into 15": lambda: _conv([2, 7, 3, 3], (4, 1), [2, 4, 3, 15], 8, multiplier=5),
    "matrix product of 77 whose weights have a zero point": _offset,
    "convolution with a window of 9 by 11, its rows spread": lambda: _conv(
        [1, 20, 24, 3], (9, 11), [1, 2, 14, 17], 11, dilation_h=2, stride_h=2
    ),
    "convolution of 70 channels into 33": lambda: _conv([2, 3, 5, 70], (1, 1), [2, 3, 5, 33], 10),
    "convolution of 300 channels": lambda: _conv([1, 2, 3, 300], (2, 2), [1, 1, 2, 5], 12),
    "matrix product of 513 into 2": lambda: _dense(2, 513, 2, 11),
    "matrix product with sums of 26 bits": lambda: _long_sums("FULLY_CONNECTED"),
    "convolution with sums of 26 bits": lambda: _long_sums("CONV_2D"),
    "convolution of 6 batches": lambda: _conv([6, 3, 4, 5], (2, 2), [6, 2, 3, 7], 8),
    "depthwise convolution of 270 channels": lambda: _conv([1, 2, 2, 270], (2, 2), [1, 1, 1, 270], 7, multiplier=1),
    "convolution along 300 columns": lambda: _conv([1, 1, 302, 2], (1, 3), [1, 1, 300, 3], 7),
    "matrix product of 270 rows of 9 into 7": lambda: _dense(270, 9, 7, 8),
    "matrix product of 9 into 270": lambda: _dense(2, 9, 270, 8),
    "average of 6 batches": lambda: _pool_valid("AVERAGE_POOL_2D", [6, 4, 3, 5], (3, 2)),
    "average of 500 cells": lambda: _pool_valid("AVERAGE_POOL_2D", [1, 20, 26, 3], (20, 25)),
    "addition of 270 rows": _added_rows,
    "softmax of 270 rows of 4": lambda: _simple(
        "SOFTMAX", Tensor([270, 4], 0.0625, 100), Tensor([270, 4], 1 / 256, -128), None, {"beta": 1.0}
    ),
    "tensors of 12000 values between small ones": _large_between,
    "addition of 1037 columns": _add,
    "maximum over 37 channels": lambda: _pool("MAX_POOL_2D"),
    "average over 37 channels": lambda: _pool("AVERAGE_POOL_2D"),
    "mean of 67 channels": lambda: _simple(
        "MEAN", Tensor([2, 4, 5, 67], 0.5, -3), Tensor([2, 67], 0.25, 4), [1, 2], {"keep_dims": False}
    ),
    "mean of each of 3 batches": lambda: _simple(
        "MEAN", Tensor([3, 4, 16, 8], 0.5, -3), Tensor([3, 4, 16], 0.125, 4), [-1], {"keep_dims": False}
    ),
    "softmax of 5 rows of 300": lambda: _simple(
        "SOFTMAX", Tensor([5, 300], 0.25, -3), Tensor([5, 300], 1 / 256, -128), None, {"beta": 0.25}
    ),
    "softmax of 40 rows of 3": lambda: _simple(
        "SOFTMAX", Tensor([40, 3], 0.0625, 100), Tensor([40, 3], 1 / 256, -128), None, {"beta": 1.0}
    ),
    "padding of 70 columns": lambda: _simple(
        "PAD", Tensor([5, 3, 70], 0.1, -9), Tensor([6, 5, 75], 0.1, -9), [[1, 0], [0, 2], [1, 4]], {}
    ),
    "another shape of 2990 values": lambda: _simple(
        "RESHAPE", Tensor([2, 5, 13, 23], 0.1, 4), Tensor([26, 115], 0.1, 4), [26, 115]
    ),
    **LARGE,
}
"""Makers of the models by name; a quick run tries the first five."""
