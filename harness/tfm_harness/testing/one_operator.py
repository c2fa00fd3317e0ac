"""Random one-operator models: for each operator a generator of graphs over its options, shapes and quantisations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tfm_harness.testing.tflite_builder import Graph, Op, Tensor

__all__ = ["GENERATORS", "NEWEST_VERSIONS", "SAME", "VALID", "at_the_edges"]

SAME, VALID = 0, 1
_ACTIVATIONS = (0, 1, 2, 3)  # NONE, RELU, RELU_N1_TO_1, RELU6

Rng = np.random.Generator


def _scale(rng: Rng, low: float = 0.005, high: float = 0.3) -> float:
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _point(rng: Rng) -> int:
    return int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))


def _int8(rng: Rng, *shape: int) -> npt.NDArray[np.int8]:
    return rng.integers(-127, 128, size=shape).astype(np.int8)


def _window(size: int, filter_size: int, stride: int, dilation: int, padding: int) -> int:
    """Output size of one spatial dimension; 0 if the filter does not fit."""
    reach = (filter_size - 1) * dilation + 1
    return -(-size // stride) if padding == SAME else max(0, (size - reach) // stride + 1)


def _spatial(rng: Rng) -> tuple[list[int], list[int], dict[str, int], list[int]]:
    """Random input height and width, filter, options, output height and width; the output is not empty."""
    while True:
        size = rng.integers(1, 10, size=2).tolist()
        filter_size = rng.integers(1, 5, size=2).tolist()
        options = {
            "padding": int(rng.integers(2)),
            "stride_h": int(rng.integers(1, 4)),
            "stride_w": int(rng.integers(1, 4)),
            "dilation_h": int(rng.choice([1, 1, 1, 2, 3])),
            "dilation_w": int(rng.choice([1, 1, 1, 2, 3])),
        }
        out = [
            _window(size[i], filter_size[i], options[f"stride_{a}"], options[f"dilation_{a}"], options["padding"])
            for i, a in enumerate("hw")
        ]
        if min(out) > 0:
            return size, filter_size, options, out


def _output_scale(rng: Rng, in_scale: float, filter_scale: float, terms: int) -> float:
    """A scale with which sums of `terms` products use much of the int8 range, or sometimes exceed it."""
    return float(np.float32(in_scale * filter_scale * 74.0 * 74.0 * np.sqrt(terms) / rng.uniform(20.0, 160.0)))


def _convolution(rng: Rng, *, depthwise: bool) -> Graph:
    size, filter_size, options, out = _spatial(rng)
    batch, depth = int(rng.integers(1, 3)), int(rng.integers(1, 9))
    multiplier = int(rng.integers(1, 4))
    channels = depth * multiplier if depthwise else int(rng.integers(1, 9))
    filter_shape = [1, *filter_size, channels] if depthwise else [channels, *filter_size, depth]
    scales = [_scale(rng) for _ in range(channels)] if rng.random() < 0.7 else [_scale(rng)]
    terms = filter_size[0] * filter_size[1] * (1 if depthwise else depth)
    in_scale = _scale(rng)
    options["activation"] = int(rng.choice(_ACTIVATIONS))
    if depthwise:
        options["depth_multiplier"] = multiplier
    tensors = [
        Tensor([batch, *size, depth], in_scale, _point(rng)),
        Tensor(filter_shape, scales, 0, data=_int8(rng, *filter_shape), axis=3 if depthwise else 0),
        Tensor([batch, *out, channels], _output_scale(rng, in_scale, float(np.mean(scales)), terms), _point(rng)),
    ]
    inputs = [0, 1]
    if not depthwise or rng.random() < 0.8:  # the reference's CONV_2D demands a bias
        bias = rng.integers(-20000, 20000, size=channels)
        tensors.append(Tensor([channels], [in_scale * s for s in scales], 0, "int32", bias))
        inputs.append(3)
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    return Graph(tensors, [Op(name, inputs, [2], options)])


def conv_2d(rng: Rng) -> Graph:
    """Convolutions: per tensor and per channel, dilated, strided, both paddings, all activations."""
    return _convolution(rng, depthwise=False)


def depthwise_conv_2d(rng: Rng) -> Graph:
    """As `conv_2d`, with depth multipliers of 1 to 3."""
    return _convolution(rng, depthwise=True)


def fully_connected(rng: Rng) -> Graph:
    """Matrix products: per tensor or per channel, with or without bias, batches, kept dimensions, zero points."""
    depth, units, rows = int(rng.integers(1, 40)), int(rng.integers(1, 12)), int(rng.integers(1, 4))
    per_channel = bool(rng.random() < 0.5)
    in_scale, scales = _scale(rng), [_scale(rng) for _ in range(units if per_channel else 1)]
    keep = bool(rng.random() < 0.3) and not per_channel  # with both, the reference writes only a part of the output
    products = [float(np.float32(in_scale) * np.float32(scale)) for scale in scales]
    weight_scale, point = float(np.mean(scales)), 0 if per_channel else int(rng.choice([0, 0, 0, 5, -17]))
    tensors = [
        Tensor([1, rows, depth] if keep else [rows, depth], in_scale, _point(rng)),
        Tensor([units, depth], scales, point, data=_int8(rng, units, depth)),
        Tensor(
            [1, rows, units] if keep else [rows, units], _output_scale(rng, in_scale, weight_scale, depth), _point(rng)
        ),
    ]
    inputs = [0, 1, -1]
    if rng.random() < 0.8:
        tensors.append(Tensor([units], products, 0, "int32", rng.integers(-20000, 20000, size=units)))
        inputs[2] = 3
    options = {"activation": int(rng.choice(_ACTIVATIONS)), "weights_format": 0, "keep_num_dims": keep}
    return Graph(tensors, [Op("FULLY_CONNECTED", inputs, [2], options)])


def _pool(rng: Rng, name: str) -> Graph:
    size, filter_size, options, _ = _spatial(rng)
    out = [_window(size[i], filter_size[i], options[f"stride_{a}"], 1, options["padding"]) for i, a in enumerate("hw")]
    shape = [int(rng.integers(1, 3)), *size, int(rng.integers(1, 6))]
    scale, point = _scale(rng), _point(rng)
    options = {k: v for k, v in options.items() if not k.startswith("dilation")}
    options |= {"filter_h": filter_size[0], "filter_w": filter_size[1], "activation": int(rng.choice(_ACTIVATIONS))}
    tensors = [Tensor(shape, scale, point), Tensor([shape[0], *out, shape[3]], scale, point)]
    return Graph(tensors, [Op(name, [0], [1], options)])


def average_pool_2d(rng: Rng) -> Graph:
    """Poolings with both paddings, and windows that reach beyond the edge."""
    return _pool(rng, "AVERAGE_POOL_2D")


def max_pool_2d(rng: Rng) -> Graph:
    """As `average_pool_2d`."""
    return _pool(rng, "MAX_POOL_2D")


def add(rng: Rng) -> Graph:
    """Additions. The other operand is the input itself, a constant, or a constant that broadcasts; in either place."""
    shape = rng.integers(1, 6, size=int(rng.integers(1, 5))).tolist()
    scale = _scale(rng)
    tensors = [Tensor(shape, scale, _point(rng)), Tensor(shape, _scale(rng, 0.3 * scale, 4 * scale), _point(rng))]
    kind = int(rng.integers(3))
    inputs = [0, 0]
    if kind > 0:
        other = [d if kind == 1 or rng.random() < 0.5 else 1 for d in shape]
        if kind == 2 and rng.random() < 0.5:
            other = other[1:]
        data = _int8(rng, *other)
        tensors.append(Tensor(other, _scale(rng, 0.2 * scale, 5 * scale), _point(rng), data=data))
        inputs = [0, 2] if rng.random() < 0.5 else [2, 0]
    return Graph(tensors, [Op("ADD", inputs, [1], {"activation": int(rng.choice(_ACTIVATIONS))})])


def pad(rng: Rng) -> Graph:
    """Paddings of ranks 1 to 4."""
    rank = int(rng.integers(1, 5))
    shape = rng.integers(1, 5, size=rank)
    paddings = rng.integers(0, 4, size=(rank, 2))
    scale, point = _scale(rng), _point(rng)
    tensors = [
        Tensor(shape.tolist(), scale, point),
        Tensor((shape + paddings.sum(axis=1)).tolist(), scale, point),
        Tensor([rank, 2], dtype="int32", data=paddings),
    ]
    return Graph(tensors, [Op("PAD", [0, 2], [1])])


def mean(rng: Rng) -> Graph:
    """Means over any axes, also negative and repeated ones, kept or dropped."""
    rank = int(rng.integers(1, 5))
    shape = rng.integers(1, 8, size=rank).tolist()
    axes = rng.integers(-rank, rank, size=int(rng.integers(1, 4))).tolist()
    if rank == 4 and rng.random() < 0.4:
        axes = [1, 2]
    reduced = {a % rank for a in axes}
    keep = bool(rng.random() < 0.5)
    out = [1 if i in reduced else d for i, d in enumerate(shape) if keep or i not in reduced]
    scale, point = _scale(rng), _point(rng)
    same = rng.random() < 0.3
    count = float(np.prod([shape[i] for i in reduced]))
    tensors = [
        Tensor(shape, scale, point),
        Tensor(
            out,
            scale if same else scale * float(rng.uniform(0.3, 1.2)) / np.sqrt(count),
            point if same else _point(rng),
        ),
        Tensor([len(axes)], dtype="int32", data=np.array(axes)),
    ]
    return Graph(tensors, [Op("MEAN", [0, 2], [1], {"keep_dims": keep})])


def reshape(rng: Rng) -> Graph:
    """Reshapes with a shape operand, with an unknown dimension in it, or without one."""
    shape = rng.integers(1, 6, size=int(rng.integers(1, 5)))
    scale, point = _scale(rng), _point(rng)
    total = int(shape.prod())
    first = int(rng.choice([d for d in range(1, total + 1) if total % d == 0]))
    out = [first, total // first]
    tensors = [
        Tensor(shape.tolist(), scale, point),
        Tensor(out, scale, point),
        Tensor([2], dtype="int32", data=np.array([-1, out[1]] if rng.random() < 0.5 else out)),
    ]
    return Graph(tensors, [Op("RESHAPE", [0, 2], [1])])


def softmax(rng: Rng) -> Graph:
    """Softmaxes of ranks 1 to 4, flat and steep."""
    shape = [*rng.integers(1, 4, size=int(rng.integers(0, 4))).tolist(), int(rng.choice([1, 2, 3, 10, 100, 511]))]
    tensors = [Tensor(shape, _scale(rng, 0.001, 1.0), _point(rng)), Tensor(shape, 1 / 256, -128)]
    return Graph(tensors, [Op("SOFTMAX", [0], [1], {"beta": float(rng.choice([1.0, 1.0, 0.5, 2.5]))})])


GENERATORS: dict[str, Callable[[Rng], Graph]] = {
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool_2d,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
    "MAX_POOL_2D": max_pool_2d,
    "MEAN": mean,
    "PAD": pad,
    "RESHAPE": reshape,
    "SOFTMAX": softmax,
}
"""For each operator, a maker of random graphs with only this operator."""

NEWEST_VERSIONS = {
    "ADD": 5,
    "AVERAGE_POOL_2D": 3,
    "CONV_2D": 6,
    "DEPTHWISE_CONV_2D": 6,
    "FULLY_CONNECTED": 9,
    "MAX_POOL_2D": 3,
    "MEAN": 3,
    "PAD": 4,
    "RESHAPE": 1,
    "SOFTMAX": 3,
}
"""For each operator, the newest version that the reference firmware takes; it takes all from 1 on (docs/parity.md)."""


def _far(rng: Rng, reach: float) -> float:
    """A scale between 2^-reach and 2^reach."""
    return float(np.float32(2.0 ** rng.uniform(-reach, reach)))


def _edge_of_products(rng: Rng, graph: Graph, reach: float) -> None:
    """Change a convolution or matrix product: weights of -128, biases at the ends of int32, multipliers far from 1."""
    source, weights, output, *bias = graph.tensors
    scales = [_far(rng, reach) for _ in weights.scale] if isinstance(weights.scale, list) else _far(rng, reach)
    in_scale, data = _far(rng, reach), np.asarray(weights.data)
    out_scale = float(np.float32(in_scale * float(np.mean(scales)) * 2.0 ** rng.uniform(-reach, 2 * reach)))
    graph.tensors = [
        dataclasses.replace(source, scale=in_scale),
        dataclasses.replace(weights, scale=scales, data=np.where(rng.random(data.shape) < 0.3, -128, data)),
        dataclasses.replace(output, scale=out_scale),
    ]
    for tensor in bias:
        ends = rng.choice(
            [-(2**31), 2**31 - 1, 5, int(rng.integers(-(2**31), 2**31))], size=np.asarray(tensor.data).shape
        )
        products = np.float32(in_scale) * np.asarray(scales, np.float32)
        graph.tensors.append(dataclasses.replace(tensor, scale=products.astype(np.float64).tolist(), data=ends))


def at_the_edges(rng: Rng, name: str) -> Graph:
    """One of the graphs above with quantisation parameters that no training gives, but a file may contain."""
    graph = GENERATORS[name](rng)
    reach = float(rng.choice([1, 4, 10, 20]))
    if name in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
        _edge_of_products(rng, graph, reach)
    elif name in {"ADD", "MEAN"}:
        quantised = [t.scale is not None for t in graph.tensors]
        graph.tensors = [
            dataclasses.replace(t, scale=_far(rng, reach), zero_point=int(rng.choice([-128, 127, 0]))) if q else t
            for t, q in zip(graph.tensors, quantised, strict=True)
        ]
    elif name == "SOFTMAX":
        graph.tensors[0] = dataclasses.replace(graph.tensors[0], scale=_far(rng, reach))
    else:  # these do not rescale: input and output have the same scale
        scale = _far(rng, reach)
        graph.tensors = [dataclasses.replace(t, scale=scale) if t.scale is not None else t for t in graph.tensors]
    return graph
