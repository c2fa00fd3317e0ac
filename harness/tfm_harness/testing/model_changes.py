"""Changes of a graph: each changes one tensor, option or operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.testing.tflite_builder import Graph, Op, Tensor

__all__ = [
    "Change",
    "graph_with",
    "ints",
    "kept_per_channel",
    "more",
    "of_constant",
    "op",
    "options",
    "other_bias_scale",
    "tensor",
    "unused",
]

Change = Callable[[Graph], Any]


def tensor(index: int, **changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Change fields of a tensor."""

    def change(graph: Graph) -> None:
        graph.tensors[index] = dataclasses.replace(graph.tensors[index], **changes)

    return change


def options(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Change options of the operator."""

    def change(graph: Graph) -> None:
        graph.ops[0].options = {**(graph.ops[0].options or {}), **changes}

    return change


def op(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Change fields of the operator."""

    def change(graph: Graph) -> None:
        graph.ops[0] = dataclasses.replace(graph.ops[0], **changes)

    return change


def graph_with(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Change fields of the graph."""

    def change(graph: Graph) -> None:
        for name, value in changes.items():
            setattr(graph, name, value)

    return change


def ints(*values: int | list[int]) -> npt.NDArray[np.int64]:
    """A constant of integers."""
    return np.array(values)


def of_constant(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Let the operator work on a constant; the graph's input is a tensor that nobody reads."""

    def change(graph: Graph) -> None:
        first = graph.tensors[0]
        graph.tensors[0] = dataclasses.replace(first, **{"data": np.ones(first.shape, np.int8), **changes})
        graph.tensors.append(Tensor([1, 1], 0.1))
        graph.inputs = (len(graph.tensors) - 1,)

    return change


def other_bias_scale(graph: Graph) -> None:
    """Give the bias one scale that is none of the weights' four scales."""
    tensor(1, scale=[0.1] * 4)(graph)
    tensor(2, scale=0.5)(graph)


def kept_per_channel(graph: Graph) -> None:
    """Give the output three dimensions; the reference would leave a part of it unwritten."""
    for change in (tensor(0, shape=[1, 2, 6]), tensor(1, scale=[0.1] * 4), tensor(3, shape=[1, 2, 4])):
        change(graph)
    options(keep_num_dims=True)(graph)


def more(*tensors: Tensor, ops: Sequence[Op] = ()) -> Change:
    """Add tensors and operators at the end of the lists."""

    def change(graph: Graph) -> None:
        graph.tensors.extend(tensors)
        graph.ops.extend(ops)

    return change


def unused(count: int) -> Change:
    """Add unused tensors up to this total number."""
    return lambda graph: graph.tensors.extend([Tensor([1], 0.1)] * (count - len(graph.tensors)))
