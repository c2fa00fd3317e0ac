"""Valid models of one operator each: small graphs that tests change to make wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfm_harness.testing.tflite_builder import Graph, Op, Tensor

__all__ = [
    "RIGHT_MODELS",
    "add",
    "chain",
    "conv",
    "dense",
    "depthwise",
    "mean",
    "pad",
    "pool",
    "reshape",
    "soft",
]


def conv() -> Graph:
    """A convolution with one scale for each channel."""
    return Graph(
        [
            Tensor([1, 5, 5, 2], 0.1, 3),
            Tensor([4, 3, 3, 2], [0.1, 0.2, 0.3, 0.4], data=np.ones((4, 3, 3, 2), np.int8)),
            Tensor([4], [0.01, 0.02, 0.03, 0.04], dtype="int32", data=np.arange(4)),
            Tensor([1, 5, 5, 4], 0.5, -1),
        ],
        [Op("CONV_2D", [0, 1, 2], [3], {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 0})],
    )


def dense() -> Graph:
    """A matrix product with a bias."""
    return Graph(
        [
            Tensor([1, 6], 0.1, 3),
            Tensor([4, 6], 0.2, data=np.ones((4, 6), np.int8)),
            Tensor([4], 0.02, dtype="int32", data=np.arange(4)),
            Tensor([1, 4], 0.5, -1),
        ],
        [Op("FULLY_CONNECTED", [0, 1, 2], [3], {"activation": 1})],
    )


def soft() -> Graph:
    """A softmax."""
    return Graph([Tensor([1, 4], 0.1, 3), Tensor([1, 4], 1 / 256, -128)], [Op("SOFTMAX", [0], [1], {"beta": 1.0})])


def pool(name: str = "MAX_POOL_2D") -> Graph:
    """A pooling."""
    options = {"padding": 1, "stride_w": 2, "stride_h": 2, "filter_w": 2, "filter_h": 2, "activation": 0}
    return Graph([Tensor([1, 4, 4, 2], 0.1, 3), Tensor([1, 2, 2, 2], 0.1, 3)], [Op(name, [0], [1], options)])


def mean() -> Graph:
    """A mean over height and width."""
    return Graph(
        [Tensor([1, 4, 4, 2], 0.1, 3), Tensor([1, 2], 0.1, 0), Tensor([2], dtype="int32", data=np.array([1, 2]))],
        [Op("MEAN", [0, 2], [1], {"keep_dims": False})],
    )


def pad() -> Graph:
    """A padding of two dimensions."""
    return Graph(
        [
            Tensor([2, 3], 0.1, 3),
            Tensor([4, 4], 0.1, 3),
            Tensor([2, 2], dtype="int32", data=np.array([[1, 1], [0, 1]])),
        ],
        [Op("PAD", [0, 2], [1])],
    )


def reshape() -> Graph:
    """A change of shape."""
    return Graph(
        [Tensor([2, 3], 0.1, 3), Tensor([3, 2], 0.1, 3), Tensor([2], dtype="int32", data=np.array([3, 2]))],
        [Op("RESHAPE", [0, 2], [1])],
    )


def add() -> Graph:
    """An addition of a constant."""
    return Graph(
        [Tensor([2, 3], 0.1, 3), Tensor([2, 3], 0.2, 3), Tensor([2, 3], 0.1, data=np.ones((2, 3), np.int8))],
        [Op("ADD", [0, 2], [1], {"activation": 0})],
    )


def depthwise() -> Graph:
    """A convolution of each channel on its own, two outputs for each."""
    return Graph(
        [
            Tensor([1, 4, 4, 2], 0.1, 3),
            Tensor([1, 3, 3, 4], [0.1, 0.2, 0.3, 0.4], data=np.ones((1, 3, 3, 4), np.int8), axis=3),
            Tensor([4], [0.01, 0.02, 0.03, 0.04], dtype="int32", data=np.arange(4)),
            Tensor([1, 2, 2, 4], 0.5, -1),
        ],
        [
            Op(
                "DEPTHWISE_CONV_2D",
                [0, 1, 2],
                [3],
                {"padding": 1, "stride_w": 1, "stride_h": 1, "depth_multiplier": 2, "activation": 0},
            )
        ],
    )


def chain(operators: int) -> Graph:
    """This number of operators in sequence, each with its own tensor."""
    shapes = ([2, 3], [3, 2])
    tensors = [Tensor(shapes[number % 2], 0.1, 3) for number in range(operators + 1)]
    tensors += [Tensor([2], dtype="int32", data=np.array(shape)) for shape in shapes]
    ops = [Op("RESHAPE", [number, operators + 1 + (number + 1) % 2], [number + 1], None) for number in range(operators)]
    return Graph(tensors, ops)


RIGHT_MODELS: list[Callable[[], Graph]] = [conv, depthwise, dense, soft, pool, mean, pad, reshape, add]
"""Makers of graphs that every interpreter runs; the wrong models are changes of them."""
