"""Valid models at an interpreter's limits: sizes, omitted defaults, numbers very close to a rounding point."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from tfm_harness.testing.model_changes import options as other_options
from tfm_harness.testing.model_changes import tensor as other_tensor
from tfm_harness.testing.model_multipliers import multipliers
from tfm_harness.testing.right_models import RIGHT_MODELS, add, chain, conv, dense, depthwise, mean, pool, reshape, soft
from tfm_harness.testing.tflite_builder import Graph, Op, Tensor

__all__ = ["CORNERS", "WORK_LIMIT", "full_memory", "network", "of_size", "of_work"]

WORK_LIMIT = 1 << 26
"""Most steps of one inference (docs/protocol.md, model-activate)."""

_JUST_UNDER_ONE = (1.0 + 2.0**-23, 1.0 - 2.0**-23)
"""Two floats whose product is so close to 1 that its significand of 31 bits rounds up to a power of two."""

Make = Callable[[], Graph]


def _with(base: Make, options: dict[str, object] | None = None, /, **tensors: dict[str, object]) -> Graph:
    """A valid model with changed fields of tensors (``t0`` is the first one) and changed options."""
    graph = base()
    for name, changes in tensors.items():
        other_tensor(int(name[1:]), **changes)(graph)
    if options:
        other_options(**options)(graph)
    return graph


def _varied(graph: Graph, seed: int) -> Graph:
    """The same model with random int8 weights."""
    rng = np.random.default_rng(seed)
    for number, tensor in enumerate(graph.tensors):
        if tensor.data is not None and tensor.dtype == "int8":
            data = rng.integers(-127, 128, size=tensor.data.shape).astype(np.int8)
            graph.tensors[number] = dataclasses.replace(tensor, data=data)
    return graph


def _dense() -> Graph:
    return _varied(dense(), 5)


def _sparse(base: Make, codes: str) -> Graph:
    return dataclasses.replace(_varied(base(), 3), sparse=True, codes=codes)


def _hair(base: Make, exponent: int) -> Graph:
    """A model whose multipliers, one for each channel, are slightly less than 2^exponent."""
    one, other = _JUST_UNDER_ONE
    graph = _varied(base(), 4)
    source, weights, bias, output = graph.tensors
    scales = [other * 2.0**exponent] * 4
    graph.tensors = [
        dataclasses.replace(source, scale=one, zero_point=-7),
        dataclasses.replace(weights, scale=scales),
        dataclasses.replace(bias, scale=scales, data=np.array([-900, 5, 70, 3000])),
        dataclasses.replace(output, scale=1.0, zero_point=3),
    ]
    return graph


def network(seed: int) -> Graph:
    """Ten operators, in sequence and in parallel: results are used at once, late, twice, or by two operators."""
    rng = np.random.default_rng([seed, 10])
    tensors = [Tensor([1, 6, 6, 4], 0.05, 3)]
    ops: list[Op] = []
    live = [0]

    def put(shape: list[int], name: str, inputs: list[int], options: dict[str, object] | None, **more: object) -> None:
        tensors.append(Tensor(shape, **{"scale": 0.05, "zero_point": 3, **more}))  # type: ignore[arg-type]
        ops.append(Op(name, inputs, [len(tensors) - 1], options))
        live.append(len(tensors) - 1)

    def constant(tensor: Tensor) -> int:
        tensors.append(tensor)
        return len(tensors) - 1

    while len(ops) < 9:
        at = int(rng.choice(live[-4:]))
        shape = list(tensors[at].shape)
        match int(rng.integers(5)):
            case 0:
                other = int(rng.choice([one for one in live if list(tensors[one].shape) == shape]))
                put(shape, "ADD", [at, other], {"activation": 0}, scale=0.08, zero_point=-5)
            case 1:
                paddings = constant(Tensor([4, 2], dtype="int32", data=np.array([[0, 0], [1, 0], [0, 1], [0, 0]])))
                put([shape[0], shape[1] + 1, shape[2] + 1, shape[3]], "PAD", [at, paddings], {},
                    scale=tensors[at].scale, zero_point=tensors[at].zero_point)  # fmt: skip
            case 2 if min(shape[1:3]) > 2:
                options: dict[str, object] = {
                    "padding": 1, "stride_w": 1, "stride_h": 1, "filter_w": 2, "filter_h": 2, "activation": 0,
                }  # fmt: skip
                kind = str(rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
                put([shape[0], shape[1] - 1, shape[2] - 1, shape[3]], kind, [at], options,
                    scale=tensors[at].scale, zero_point=tensors[at].zero_point)  # fmt: skip
            case 3:
                data = rng.integers(-127, 128, size=(4, 3, 3, shape[3])).astype(np.int8)
                weights = constant(Tensor([4, 3, 3, shape[3]], 0.01, data=data))
                bias = constant(Tensor([4], dtype="int32", data=rng.integers(-900, 900, size=4)))
                put([*shape[:3], 4], "CONV_2D", [at, weights, bias],
                    {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 0})  # fmt: skip
            case _:
                swapped = [shape[0], shape[2], shape[1], shape[3]]
                wanted = constant(Tensor([4], dtype="int32", data=np.array(swapped)))
                put(swapped, "RESHAPE", [at, wanted], None, scale=tensors[at].scale, zero_point=tensors[at].zero_point)
    end = live[-1]
    axes = constant(Tensor([2], dtype="int32", data=np.array([1, 2])))
    put([1, tensors[end].shape[3]], "MEAN", [end, axes], {"keep_dims": False}, scale=0.03, zero_point=0)
    return Graph(tensors, ops)


def of_work(name: str, *, more: int = 0) -> Graph:
    """A model whose last operator makes the steps reach `WORK_LIMIT` exactly; with `more` above 0 they exceed it."""
    side, depth = 32, 4
    shape = [1, side, side, depth]
    values = side * side * depth
    tensors, ops = [Tensor(shape, 0.05, 3)], []

    def pool_of(height: int, width: int) -> None:
        tensors.append(Tensor(shape, 0.05, 3))
        options = {"padding": 0, "stride_w": 1, "stride_h": 1, "filter_h": height, "filter_w": width, "activation": 0}
        ops.append(Op("MAX_POOL_2D", [len(tensors) - 2], [len(tensors) - 1], options))

    steps = {"SOFTMAX": 2, "CONV_2D": depth, "DEPTHWISE_CONV_2D": 1, "AVERAGE_POOL_2D": 6}.get(name, 1)
    left = WORK_LIMIT // values - steps + more
    while left > 4096:
        pool_of(64, 64)
        left -= 4096
    height = next(number for number in range(2, 4097) if left % number == 0 and left // number <= 4096)
    pool_of(height, left // height)
    at = len(tensors) - 1
    weights = np.ones((depth, 1, 1, depth), np.int8)
    extra: dict[str, tuple[list[Tensor], list[int], dict[str, object] | None]] = {
        "ADD": ([], [at, at], {"activation": 0}),
        "AVERAGE_POOL_2D": ([], [at], {"padding": 0, "stride_w": 1, "stride_h": 1, "filter_h": 2, "filter_w": 3,
                                       "activation": 0}),
        "CONV_2D": ([Tensor([depth, 1, 1, depth], 0.01, data=weights),
                     Tensor([depth], dtype="int32", data=np.zeros(depth, np.int64))], [at, at + 2, at + 3],
                    {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 0}),
        "DEPTHWISE_CONV_2D": ([Tensor([1, 1, 1, depth], 0.01, data=weights[:1])], [at, at + 2],
                              {"padding": 0, "stride_w": 1, "stride_h": 1, "depth_multiplier": 1, "activation": 0}),
        "FULLY_CONNECTED": ([Tensor([1, depth], 0.01, data=np.ones((1, depth), np.int8))], [at, at + 2, -1],
                            {"activation": 0}),
        "MEAN": ([Tensor([2], dtype="int32", data=np.array([1, 2]))], [at, at + 2], {"keep_dims": True}),
        "PAD": ([Tensor([4, 2], dtype="int32", data=np.zeros((4, 2), np.int64))], [at, at + 2], {}),
        "RESHAPE": ([Tensor([4], dtype="int32", data=np.array(shape))], [at, at + 2], None),
        "SOFTMAX": ([], [at], {"beta": 1.0}),
    }  # fmt: skip
    constants, inputs, options = extra[name]
    shapes = {"MEAN": [1, 1, 1, depth], "FULLY_CONNECTED": [values // depth, 1]}
    scale, point = (1 / 256, -128) if name == "SOFTMAX" else (0.05, 3)
    tensors += [Tensor(shapes.get(name, shape), scale, point), *constants]
    ops.append(Op(name, inputs, [at + 1], options))
    return Graph(tensors, ops, outputs=(at + 1,))


def _corners() -> Iterator[tuple[str, Make]]:
    for base in RIGHT_MODELS:
        name = base.__name__
        yield f"{name}, defaults left out, old code", partial(_sparse, base, "old")
        yield f"{name}, defaults left out, new code", partial(_sparse, base, "new")
    for make in (conv, depthwise, dense):
        for exponent in (-9, 0):
            yield (
                f"{make.__name__}, multipliers of 2^{exponent} less a hair",
                partial(_hair, make, exponent),
            )
    yield (
        "convolution with a multiplier just under 2^30",
        lambda: _with(
            conv, t0={"scale": 1.0}, t1={"scale": 2.0**29 * (1 - 2.0**-20)}, t2={"scale": 1.0}, t3={"scale": 0.5}
        ),
    )
    yield (
        "convolution with a multiplier just under 2^-31 and the largest sums",
        lambda: _with(
            conv,
            t0={"scale": 1.0},
            t1={"scale": 2.0**-31 * (1 - 2.0**-20)},
            t2={"scale": 1.0, "data": np.array([2**31 - 99_999, -(2**31) + 99_999, 2**30, -7])},
            t3={"scale": 1.0},
        ),
    )
    yield (
        "mean with a multiplier just under 2^30",
        lambda: _with(mean, t0={"scale": 2.0**30 * (1 - 2.0**-20)}, t1={"scale": 1.0}),
    )
    for activation, scale in ((2, 0.4), (3, 4.0), (1, 0.4), (2, 2.0), (3, 12.0)):
        yield (
            f"activation {activation} whose range ends in a half, scale {scale}",
            partial(_with, _dense, {"activation": activation}, t3={"scale": scale, "zero_point": -1}),
        )
    yield "32 operators in a row, 128 tensors", _at_the_counts
    for scale in (2.0**60, 2.0**-60):
        same: dict[str, object] = {"scale": scale}
        yield f"scale of {scale:g} that is only moved", partial(_with, reshape, t0=same, t1=same)
    yield "stride of 4096", lambda: _with(conv, {"stride_h": 4096}, t3={"shape": [1, 1, 5, 4]})
    yield "dilation of 4096", lambda: _with(conv, {"dilation_h": 4096})
    whole: dict[str, object] = {"filter_h": 4, "filter_w": 4, "activation": 2}
    for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        of_all = partial(_with, partial(pool, name), whole, t1={"shape": [1, 1, 1, 2]})
        yield f"{name}, one of all values, from -1 to 1", of_all
    yield "pooling with a stride of 4096", lambda: _with(pool, {"stride_h": 4096}, t1={"shape": [1, 1, 2, 2]})
    for part in (0.019, -0.019):
        yield (
            f"bias {part:+} of an output step off",
            partial(_with, _dense, t2={"scale": 0.02 + part * 0.5}),
        )
    yield (
        "matrix product of three dimensions that are not kept",
        lambda: _with(_dense, t0={"shape": [1, 2, 6]}, t3={"shape": [2, 4]}),
    )
    yield (
        "matrix product of three dimensions that are kept",
        lambda: _with(_dense, {"keep_num_dims": True}, t0={"shape": [2, 1, 6]}, t3={"shape": [2, 1, 4]}),
    )
    yield (
        "matrix product of four dimensions that are kept",
        lambda: _with(_dense, {"keep_num_dims": True}, t0={"shape": [2, 1, 3, 6]}, t3={"shape": [2, 1, 3, 4]}),
    )
    one_unit = {"shape": [1, 6], "data": np.arange(-9, 9, 3, np.int8).reshape(1, 6)}
    for activation in (1, 2):
        yield (
            f"matrix product of one unit with activation {activation}",
            partial(_with, dense, {"activation": activation}, t1=one_unit, t2={"shape": [1], "data": np.array([9])},
                    t3={"shape": [1, 1], "scale": 0.05}),
        )  # fmt: skip
    yield (
        "matrix product with scales a row and a bias of one fine scale",
        lambda: _with(_dense, t1={"scale": [0.1, 0.2, 0.3, 0.4]}, t2={"scale": 0.005}),
    )
    for order in ([0, 2], [2, 0]):
        yield f"addition of a row and a matrix, operands {order}", partial(_row_and_matrix, order)
    yield (
        "mean of 64 with a multiplier of 2^-28",
        lambda: _with(
            mean,
            t0={"shape": [1, 8, 8, 2], "scale": 2.0**-20, "zero_point": -128},
            t1={"scale": 2.0**8, "zero_point": 5},
        ),
    )
    yield (
        "mean of 32 with a multiplier of 2^-28",
        lambda: _with(
            mean,
            t0={"shape": [1, 8, 4, 2], "scale": 2.0**-20, "zero_point": -128},
            t1={"scale": 2.0**8, "zero_point": 5},
        ),
    )
    yield (
        "mean of 400, whose sum takes more than 16 bits",
        lambda: _with(
            mean,
            t0={"shape": [1, 20, 20, 2], "scale": 0.02, "zero_point": -128},
            t1={"scale": 0.02, "zero_point": -100},
        ),
    )
    yield "matrix product of a vector", lambda: _with(dense, t0={"shape": [6]})
    yield (
        "softmax over 511",
        lambda: Graph([Tensor([511], 0.03), Tensor([511], 1 / 256, -128)], [Op("SOFTMAX", [0], [1], {"beta": 1.0})]),
    )
    yield "softmax over one", lambda: _with(soft, t0={"shape": [4, 1]}, t1={"shape": [4, 1]})
    yield "softmax just steep enough", lambda: _with(soft, t0={"scale": 2.0**-25})
    yield "softmax with a beta of 5/4", lambda: _with(soft, {"beta": 1.25})
    yield "softmax so steep that only the largest counts", lambda: _with(soft, {"beta": 2.0**20}, t0={"scale": 50.0})
    yield (
        "addition of a row and a column",
        lambda: _with(
            add,
            t0={"shape": [4, 1]},
            t1={"shape": [4, 3]},
            t2={"shape": [1, 3], "data": np.array([[9, -70, 50]], np.int8)},
        ),
    )
    yield "addition in four dimensions, each side broadcast", lambda: _with(
        add, t0={"shape": [2, 1, 3, 1]}, t1={"shape": [2, 2, 3, 2]},
        t2={"shape": [1, 2, 1, 2], "data": np.array([[[[9, -70]], [[50, 1]]]], np.int8)},
    )  # fmt: skip
    yield "padding on every side of four dimensions", lambda: Graph(
        [
            Tensor([2, 3, 2, 3], 0.1, -9), Tensor([5, 6, 5, 8], 0.1, -9),
            Tensor([4, 2], dtype="int32", data=np.array([[1, 2], [2, 1], [0, 3], [4, 1]])),
        ],
        [Op("PAD", [0, 2], [1], {})],
    )  # fmt: skip
    yield "paddings of one, two and three dimensions side by side", _paddings
    for number in range(8):
        yield f"network {number}", partial(network, number)
    yield from multipliers()


def _row_and_matrix(order: list[int]) -> Graph:
    data = np.array([9, -70, 50], np.int8)
    graph = _with(add, t2={"shape": [3], "data": data, "scale": 0.15})
    graph.ops[0].inputs = order
    return graph


def _at_the_counts() -> Graph:
    graph = chain(32)
    graph.tensors += [Tensor([1], 0.1)] * (128 - len(graph.tensors))
    return graph


def _paddings() -> Graph:
    """In the work memory each result lies between others, and all of them are used at the end."""
    tensors = [Tensor([8], 0.1, 4)]
    ops: list[Op] = []

    def put(shape: list[int], name: str, inputs: list[int], constant: object | None, options: object = None) -> int:
        if constant is not None:
            data = np.array(constant)
            tensors.append(Tensor(list(data.shape), dtype="int32", data=data))
            inputs = [*inputs, len(tensors) - 1]
        tensors.append(Tensor(shape, 0.1, 4))
        ops.append(Op(name, inputs, [len(tensors) - 1], options))  # type: ignore[arg-type]
        return len(tensors) - 1

    square = put([2, 4], "RESHAPE", [0], [2, 4])
    cube = put([2, 2, 2], "RESHAPE", [0], [2, 2, 2])
    one = put([16], "PAD", [0], [[3, 5]], {})
    two = put([4, 4], "PAD", [square], [[1, 1], [0, 0]], {})
    three = put([2, 2, 4], "PAD", [cube], [[0, 0], [0, 0], [1, 1]], {})
    flat = [put([16], "RESHAPE", [part], [16]) for part in (two, three)]
    both = put([16], "ADD", [one, flat[0]], None, {"activation": 0})
    put([16], "ADD", [both, flat[1]], None, {"activation": 0})
    return Graph(tensors, ops)


def full_memory() -> Graph:
    """A model that needs all work memory of a device with 128 KiB (docs/protocol.md), and a constant half as large."""
    half = [1, 1 << 16]
    data = np.ones(half, np.int8)
    return Graph(
        [Tensor(half, 0.1), Tensor(half, 0.2), Tensor(half, 0.1, data=data)],
        [Op("ADD", [0, 2], [1], {"activation": 0})],
    )


def of_size(count: int) -> Graph:
    """A model whose input and output have `count` bytes each; every input byte affects the output."""
    return Graph(
        [Tensor([1, count], 0.05, 3), Tensor([1, count], 0.1, -4)], [Op("ADD", [0, 0], [1], {"activation": 0})]
    )


CORNERS: dict[str, Make] = dict(_corners())
"""Makers of the models by name. All models are well-formed, and the reference runs them."""
