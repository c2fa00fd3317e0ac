"""Valid models whose multipliers are larger than 1, or whose products differ from a tie by one bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.testing.right_models import conv, dense, depthwise
from tfm_harness.testing.tflite_builder import Graph

__all__ = ["multipliers"]

_FIVE_SIXTHS = (1.0 + 2.0**-22, 13981010 * 2.0**-24)
"""Two floats whose product is 5/6 plus a third of its last bit (of 31): -3 becomes -2.5 less one bit."""

_HALF_FLOAT = (1.0 + 2.0**-13, (1.0 - 2.0**-13) * 2.0**-20)
"""Two floats whose product is 2^-20 as a float, and slightly less as a double."""

Make = Callable[[], Graph]


def _quantised(base: Make, one: float, scales: list[float], weights: npt.NDArray[Any], bias: list[int]) -> Graph:
    """A valid model with these scales of input (`one`) and channels; the multipliers are their products."""
    graph = base()
    source, kernel, start, output = graph.tensors
    graph.tensors = [
        dataclasses.replace(source, scale=one),
        dataclasses.replace(kernel, scale=scales, data=weights),
        dataclasses.replace(start, scale=[one * scale for scale in scales], data=np.array(bias)),
        dataclasses.replace(output, scale=1.0),
    ]
    return graph


def _enlarged(base: Make, shape: tuple[int, ...]) -> Graph:
    """Multipliers of 3/4, 3/2, 3 and 6, one for each channel, with sums so small that many results are in range."""
    weights = np.zeros(shape, np.int8)
    for channel, weight in enumerate((1, -1, 1, -1)):
        weights[(0, 1, 1, channel) if base is depthwise else (channel, 1, 1, 0)[: len(shape)]] = weight
    return _quantised(base, 1.0, [0.75, 1.5, 3.0, 6.0], weights, [0, 1, -2, 5])


def multipliers() -> Iterator[tuple[str, Make]]:
    """The name of each model and its maker."""
    shapes: tuple[tuple[Make, tuple[int, ...]], ...] = (
        (conv, (4, 3, 3, 2)),
        (depthwise, (1, 3, 3, 4)),
        (dense, (4, 6)),
    )
    for base, shape in shapes:
        yield f"{base.__name__}, multipliers from 3/4 to 6", partial(_enlarged, base, shape)
    # Not for a matrix product: tflite-runtime 2.14 multiplies its two scales as floats, later references as doubles.
    ties = [number * 2**19 for number in (201, -201, 239, 3)]
    yield (
        "conv, a product of scales that a float rounds up",
        partial(_quantised, conv, _HALF_FLOAT[0], [_HALF_FLOAT[1]], np.zeros((4, 3, 3, 2), np.int8), ties),
    )
    one, other = _FIVE_SIXTHS
    nothing = np.zeros((4, 3, 3, 2), np.int8)
    yield (
        "convolution with a product beside a tie by one bit",
        partial(_quantised, conv, one, [other] * 4, nothing, [-3, 3, -9, -15]),
    )
