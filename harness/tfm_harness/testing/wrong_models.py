"""Models that contradict themselves, ask for what is not done, or go beyond a limit: a device must refuse each.

Each is a right model of one operator with one change. Sources: TFLite's schema.fbs (version 3), the reference kernels'
own checks, and the limits in the reference firmware's nn.h.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.testing.tflite_builder import Graph, Op, Tensor

__all__ = ["RIGHT_MODELS", "WRONG_MODELS", "Change", "chain", "damaged_models", "unused", "wrong_model"]

FLOAT_NAN = float("nan")

Change = Callable[[Graph], Any]


def conv() -> Graph:
    """A convolution with a scale a channel."""
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
    """So many operators in a row, each with a tensor of its own."""
    shapes = ([2, 3], [3, 2])
    tensors = [Tensor(shapes[number % 2], 0.1, 3) for number in range(operators + 1)]
    tensors += [Tensor([2], dtype="int32", data=np.array(shape)) for shape in shapes]
    ops = [Op("RESHAPE", [number, operators + 1 + (number + 1) % 2], [number + 1], None) for number in range(operators)]
    return Graph(tensors, ops)


def more(*tensors: Tensor, ops: Sequence[Op] = ()) -> Change:
    """Further tensors and operators at the end of the lists."""

    def change(graph: Graph) -> None:
        graph.tensors.extend(tensors)
        graph.ops.extend(ops)

    return change


def unused(count: int) -> Change:
    """So many tensors in all, those that are added of no use."""
    return lambda graph: graph.tensors.extend([Tensor([1], 0.1)] * (count - len(graph.tensors)))


RIGHT_MODELS: list[Callable[[], Graph]] = [conv, depthwise, dense, soft, pool, mean, pad, reshape, add]
"""Makers of graphs that every interpreter runs; the wrong ones are changes of them."""


def tensor(index: int, **changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Other fields of a tensor."""

    def change(graph: Graph) -> None:
        graph.tensors[index] = dataclasses.replace(graph.tensors[index], **changes)

    return change


def options(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Other options of the operator."""

    def change(graph: Graph) -> None:
        graph.ops[0].options = {**(graph.ops[0].options or {}), **changes}

    return change


def op(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Other fields of the operator."""

    def change(graph: Graph) -> None:
        graph.ops[0] = dataclasses.replace(graph.ops[0], **changes)

    return change


def graph_with(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """Other fields of the graph."""

    def change(graph: Graph) -> None:
        for name, value in changes.items():
            setattr(graph, name, value)

    return change


def ints(*values: int | list[int]) -> npt.NDArray[np.int64]:
    """A constant of whole numbers."""
    return np.array(values)


def of_constant(**changes: Any) -> Change:  # noqa: ANN401 - fields of different types
    """The operator works on a constant; the graph's input is a tensor that nobody reads."""

    def change(graph: Graph) -> None:
        first = graph.tensors[0]
        graph.tensors[0] = dataclasses.replace(first, **{"data": np.ones(first.shape, np.int8), **changes})
        graph.tensors.append(Tensor([1, 1], 0.1))
        graph.inputs = (len(graph.tensors) - 1,)

    return change


def other_bias_scale(graph: Graph) -> None:
    """A bias whose one scale is none of the weights' four."""
    tensor(1, scale=[0.1] * 4)(graph)
    tensor(2, scale=0.5)(graph)


def kept_per_channel(graph: Graph) -> None:
    """An output of three dimensions, of which the reference would leave a part unwritten."""
    for change in (tensor(0, shape=[1, 2, 6]), tensor(1, scale=[0.1] * 4), tensor(3, shape=[1, 2, 4])):
        change(graph)
    options(keep_num_dims=True)(graph)


WRONG_MODELS: list[tuple[str, Callable[[], Graph], Change, str]] = [
    ("identifier", dense, graph_with(identifier=b"TFL2"), "FORMAT"),
    ("schema version", dense, graph_with(version=2), "FORMAT"),
    ("two subgraphs", dense, graph_with(subgraphs=2), "FORMAT"),
    ("two inputs", dense, graph_with(inputs=(0, 0)), "FORMAT"),
    ("no output", dense, graph_with(outputs=()), "FORMAT"),
    ("output beyond the tensors", dense, graph_with(outputs=(4,)), "FORMAT"),
    ("input -1", dense, graph_with(inputs=(-1,)), "FORMAT"),
    ("output is the input", dense, graph_with(outputs=(0,)), "FORMAT"),
    ("output is a constant", dense, graph_with(outputs=(1,)), "FORMAT"),
    ("no operators", dense, graph_with(ops=[], outputs=(3,)), "FORMAT"),
    ("33 operators", reshape, lambda g: setattr(g, "ops", g.ops * 33), "ARENA"),
    ("129 tensors", dense, lambda g: g.tensors.extend([Tensor([1], 0.1)] * 125), "ARENA"),
    ("operator writes its input", reshape, op(outputs=[0]), "FORMAT"),
    ("operator writes a constant", dense, op(outputs=[1]), "FORMAT"),
    ("operator reads what nobody wrote", add, op(inputs=[0, 1]), "FORMAT"),
    ("tensor written twice", reshape, lambda g: setattr(g, "ops", g.ops * 2), "FORMAT"),
    ("input tensor index too large", dense, op(inputs=[9, 1, 2]), "FORMAT"),
    ("input tensor index negative", dense, op(inputs=[-1, 1, 2]), "FORMAT"),
    ("too many inputs", dense, op(inputs=[0, 1, 2, 2]), "FORMAT"),
    ("too few inputs", dense, op(inputs=[0]), "FORMAT"),
    ("two outputs", dense, op(outputs=[3, 3]), "FORMAT"),
    ("no options", dense, op(options=None), "FORMAT"),
    ("another operator's options", dense, op(options_type=1), "FORMAT"),
    ("operator version 0", soft, graph_with(op_version=0), "UNSUPPORTED_OP"),
    ("operator version 4", soft, graph_with(op_version=4), "UNSUPPORTED_OP"),
    ("unknown operator", soft, op(name="LOGISTIC"), "UNSUPPORTED_OP"),
    ("float input", dense, tensor(0, dtype="float32"), "UNSUPPORTED_TYPE"),
    ("int16 output", dense, tensor(3, dtype="int16"), "UNSUPPORTED_TYPE"),
    ("int32 activation", dense, tensor(0, dtype="int32"), "UNSUPPORTED_TYPE"),
    ("variable tensor", dense, tensor(3, variable=True), "UNSUPPORTED_TYPE"),
    ("int8 bias", dense, tensor(2, dtype="int8"), "UNSUPPORTED_TYPE"),
    ("int32 weights", dense, tensor(1, dtype="int32"), "UNSUPPORTED_TYPE"),
    ("rank 5", dense, tensor(0, shape=[1, 1, 1, 1, 6]), "SHAPE"),
    ("dimension 0", dense, tensor(0, shape=[0, 6]), "SHAPE"),
    ("dimension -1", dense, tensor(0, shape=[-1, 6]), "SHAPE"),
    ("dimension 2^31 - 1", dense, tensor(0, shape=[2**31 - 1, 6]), "SHAPE"),
    ("elements overflow", dense, tensor(0, shape=[2**16, 2**16, 2**16, 6]), "SHAPE"),
    ("constant shorter than its shape", dense, tensor(1, data=np.ones((4, 5), np.int8)), "FORMAT"),
    ("constant longer than its shape", dense, tensor(1, data=np.ones((4, 7), np.int8)), "FORMAT"),
    ("no quantisation", dense, tensor(0, scale=None), "QUANT"),
    ("scale 0", dense, tensor(0, scale=0.0), "QUANT"),
    ("scale negative", dense, tensor(3, scale=-0.5), "QUANT"),
    ("scale NaN", dense, tensor(3, scale=FLOAT_NAN), "QUANT"),
    ("scale infinite", dense, tensor(3, scale=float("inf")), "QUANT"),
    ("scale subnormal", dense, tensor(3, scale=1e-40), "QUANT"),
    ("zero point 128", dense, tensor(0, zero_point=128), "QUANT"),
    ("zero point 2^32", dense, tensor(0, zero_point=2**32), "QUANT"),
    ("zero point -2^63", dense, tensor(0, zero_point=-(2**63)), "QUANT"),
    ("per-channel activation", dense, tensor(0, scale=[0.1, 0.2]), "QUANT"),
    ("more zero points than scales", dense, tensor(0, zero_point=[1, 2]), "QUANT"),
    ("different zero points", conv, tensor(1, zero_point=[0, 0, 1, 0]), "QUANT"),
    ("weights with a zero point", conv, tensor(1, zero_point=1), "QUANT"),
    ("bias with a zero point", conv, tensor(2, zero_point=1), "QUANT"),
    ("quantised dimension beyond the rank", dense, tensor(0, axis=2), "QUANT"),
    ("quantised dimension negative", dense, tensor(0, axis=-1), "QUANT"),
    ("scales for another dimension", conv, tensor(1, axis=3), "QUANT"),
    ("too few scales", conv, tensor(1, scale=[0.1, 0.2]), "QUANT"),
    ("multiplier beyond 2^30", conv, tensor(3, scale=1e-15), "QUANT"),
    ("activation range beyond int32", dense, lambda g: (tensor(3, scale=1e-12)(g), options(activation=3)(g)), "QUANT"),
    ("fully connected with too few scales", dense, tensor(1, scale=[0.1] * 3), "QUANT"),
    ("scales of a matrix's columns", dense, tensor(1, scale=[0.1] * 6, axis=1), "QUANT"),
    ("per-channel matrix with a zero point", dense, tensor(1, scale=[0.1] * 4, zero_point=[1] * 4), "QUANT"),
    ("per-channel matrix, bias on another scale", dense, other_bias_scale, "QUANT"),
    ("per-channel matrix, kept dimensions", dense, kept_per_channel, "UNSUPPORTED_OP"),
    ("bias on another scale", dense, tensor(2, scale=0.5), "QUANT"),
    ("convolution without bias", conv, op(inputs=[0, 1]), "FORMAT"),
    ("bias of another length", conv, tensor(2, shape=[3], scale=0.1, data=ints(1, 2, 3)), "SHAPE"),
    ("filter of another depth", conv, tensor(1, shape=[4, 3, 3, 1], data=np.ones((4, 3, 3, 1), np.int8)), "SHAPE"),
    ("convolution of rank 3", conv, tensor(0, shape=[5, 5, 2]), "SHAPE"),
    ("output of another shape", conv, tensor(3, shape=[1, 5, 4, 4]), "SHAPE"),
    ("stride 0", conv, options(stride_w=0), "SHAPE"),
    ("stride negative", conv, options(stride_h=-1), "SHAPE"),
    ("stride 2^31 - 1", conv, options(stride_h=2**31 - 1), "SHAPE"),
    ("dilation 0", conv, options(dilation_h=0), "SHAPE"),
    ("dilation 2^30", conv, options(dilation_w=2**30), "SHAPE"),
    ("padding 2", conv, options(padding=2), "UNSUPPORTED_OP"),
    ("activation TANH", conv, options(activation=4), "UNSUPPORTED_OP"),
    ("filter larger than a VALID input", conv, options(padding=1, dilation_h=3), "SHAPE"),
    ("shuffled weights", dense, options(weights_format=1), "UNSUPPORTED_OP"),
    ("depth does not divide", dense, tensor(0, shape=[1, 7]), "SHAPE"),
    ("softmax over 512", soft, lambda g: (tensor(0, shape=[512])(g), tensor(1, shape=[512])(g)), "SHAPE"),
    ("softmax output scale", soft, tensor(1, scale=1 / 128), "QUANT"),
    ("softmax output zero point", soft, tensor(1, zero_point=0), "QUANT"),
    ("softmax beta 0", soft, options(beta=0.0), "UNSUPPORTED_OP"),
    ("softmax beta NaN", soft, options(beta=FLOAT_NAN), "UNSUPPORTED_OP"),
    ("softmax too flat", soft, tensor(0, scale=1e-9), "QUANT"),
    ("pooling rescales", pool, tensor(1, scale=0.2), "QUANT"),
    ("pooling filter 0", pool, options(filter_w=0), "SHAPE"),
    ("pooling filter 2^31 - 1", pool, options(filter_h=2**31 - 1, padding=0), "SHAPE"),
    ("axis beyond the rank", mean, tensor(2, data=ints(1, 4)), "SHAPE"),
    ("axis -5", mean, tensor(2, data=ints(-5, 1)), "SHAPE"),
    ("mean of other axes", mean, tensor(2, data=ints(1, 1)), "SHAPE"),
    ("mean over int8 axes", mean, tensor(2, dtype="int8"), "UNSUPPORTED_TYPE"),
    ("negative padding", pad, tensor(2, data=ints([-1, 3], [0, 1])), "SHAPE"),
    ("padding 2^31 - 1", pad, tensor(2, data=ints([2**31 - 1, 1], [0, 1])), "SHAPE"),
    ("paddings of another rank", pad, tensor(2, shape=[1, 2], data=ints([1, 1])), "SHAPE"),
    ("padding rescales", pad, tensor(1, zero_point=4), "QUANT"),
    ("reshape to fewer elements", reshape, tensor(1, shape=[5, 1]), "SHAPE"),
    ("reshape says another shape", reshape, tensor(2, data=ints(2, 3)), "SHAPE"),
    ("addition of unlike shapes", add, tensor(2, shape=[2, 2], data=np.ones((2, 2), np.int8)), "SHAPE"),
    ("addition with another result", add, tensor(1, shape=[3, 2]), "SHAPE"),
    ("addition into a tiny scale", add, tensor(1, scale=1e-9), "QUANT"),
    ("33 operators in a row", lambda: chain(33), graph_with(), "ARENA"),
    ("stride left out", conv, op(options={"padding": 0, "stride_w": 1, "activation": 0}), "SHAPE"),
    ("depthwise without its multiplier", depthwise,
     op(options={"padding": 1, "stride_w": 1, "stride_h": 1, "activation": 0}), "SHAPE"),
    ("depthwise without a stride", depthwise,
     op(options={"padding": 1, "stride_h": 1, "depth_multiplier": 2, "activation": 0}), "SHAPE"),
    ("pooling without its filter", pool, op(options={"padding": 1, "stride_w": 2, "stride_h": 2}), "SHAPE"),
    ("pooling without a stride", pool,
     op(options={"padding": 1, "stride_w": 2, "filter_w": 2, "filter_h": 2}), "SHAPE"),
    ("softmax without beta", soft, op(options={}), "UNSUPPORTED_OP"),
    ("second operator's output beyond the tensors", dense,
     lambda g: (more(ops=[Op("RESHAPE", [3], [9], None)])(g), graph_with(outputs=(3,))(g)), "FORMAT"),
    ("second operator's input beyond the tensors", dense,
     lambda g: (more(ops=[Op("RESHAPE", [9], [3], None)])(g), graph_with(outputs=(3,))(g)), "FORMAT"),
    ("reshape without a shape to fewer elements", reshape,
     lambda g: (op(inputs=[0])(g), tensor(1, shape=[5, 1])(g)), "SHAPE"),
    ("reshape to more elements by -1", reshape,
     lambda g: (tensor(2, data=ints(-1, 3))(g), tensor(1, shape=[3, 3])(g)), "SHAPE"),
    ("mean over axes of rank 2, nothing reduced", mean,
     lambda g: (tensor(2, shape=[1, 2], data=ints([1, 2]))(g), tensor(1, shape=[1, 4, 4, 2])(g)), "SHAPE"),
    ("buffer beyond the list", dense, tensor(1, buffer=99), "FORMAT"),
    ("buffer beyond the list, of an activation", dense, tensor(3, buffer=5), "FORMAT"),
    ("data outside of the file", dense, tensor(1, outside=True), "FORMAT"),
    ("sparse weights", dense, tensor(1, sparsity=True), "UNSUPPORTED_TYPE"),
    ("custom quantisation", dense, tensor(1, details=True), "QUANT"),
    ("custom operator", dense, graph_with(codes="custom"), "UNSUPPORTED_OP"),
    ("multiplier of 2^30", conv, lambda g: (tensor(0, scale=1.0)(g), tensor(1, scale=2.0**29)(g),
                                            tensor(2, scale=2.0**29)(g), tensor(3, scale=0.5)(g)), "QUANT"),
    ("mean with a multiplier of 2^30", mean, lambda g: (tensor(0, scale=2.0**30)(g), tensor(1, scale=1.0)(g)), "QUANT"),
    ("pooling of an int32 constant", pool, of_constant(dtype="int32"), "UNSUPPORTED_TYPE"),
    ("pooling of a constant with two scales", pool, of_constant(scale=[0.1, 0.1], axis=1), "QUANT"),
    ("softmax of an int32 constant", soft, of_constant(dtype="int32"), "UNSUPPORTED_TYPE"),
    ("softmax of a constant with two scales", soft, of_constant(scale=[0.1, 0.1], axis=1), "QUANT"),
    ("mean of an int32 constant", mean, of_constant(dtype="int32"), "UNSUPPORTED_TYPE"),
    ("mean of a constant with two scales", mean, of_constant(scale=[0.1, 0.1], axis=1), "QUANT"),
    ("reshape of an int32 constant", reshape, of_constant(dtype="int32"), "UNSUPPORTED_TYPE"),
    ("reshape of a constant with two scales", reshape, of_constant(scale=[0.1, 0.1], axis=1), "QUANT"),
    ("padding of an int32 constant", pad, of_constant(dtype="int32"), "UNSUPPORTED_TYPE"),
    ("padding of a constant with two scales", pad, of_constant(scale=[0.1, 0.1], axis=1), "QUANT"),
    ("matrix product of an int32 constant", dense, of_constant(dtype="int32"), "UNSUPPORTED_TYPE"),
    ("matrix product of a constant with two scales", dense, of_constant(scale=[0.1, 0.1], axis=1), "QUANT"),
    ("bias that is computed", conv, lambda g: (more(Tensor([4], 0.1))(g), op(inputs=[0, 1, 4])(g),
                                               graph_with(inputs=(4,))(g),
                                               tensor(0, data=np.ones((1, 5, 5, 2), np.int8))(g)), "FORMAT"),
    ("matrix of a computed bias", dense, lambda g: (more(Tensor([4], 0.1))(g), op(inputs=[0, 1, 4])(g),
                                                    graph_with(inputs=(4,))(g),
                                                    tensor(0, data=np.ones((1, 6), np.int8))(g)), "FORMAT"),
    ("mean over a scalar's axis", mean, tensor(2, shape=[2, 1], data=ints([1], [2])), "SHAPE"),
    ("RELU6 beyond int32", pool,
     lambda g: [tensor(n, scale=1e-10)(g) for n in (0, 1)] and options(activation=3)(g), "QUANT"),
    ("addition to an int32 constant", add,
     lambda g: (tensor(2, dtype="int32")(g), op(inputs=[2, 0])(g)), "UNSUPPORTED_TYPE"),
    ("addition to what has no scale", add, lambda g: (tensor(2, scale=None)(g), op(inputs=[2, 0])(g)), "QUANT"),
    ("addition to what has two scales", add,
     lambda g: (tensor(2, scale=[0.1, 0.1], axis=0)(g), op(inputs=[2, 0])(g)), "QUANT"),
    ("convolution by what is computed", conv,
     lambda g: (tensor(0, zero_point=0)(g), tensor(2, shape=[1], scale=0.1, data=ints(1))(g),
                tensor(3, shape=[1, 5, 5, 1])(g), op(inputs=[0, 0, 2])(g)), "FORMAT"),
    ("matrix product by what is computed", dense,
     lambda g: (tensor(2, shape=[1], data=ints(1))(g), tensor(3, shape=[1, 1])(g), op(inputs=[0, 0, 2])(g)), "FORMAT"),
    ("width of a stride left out", conv, op(options={"padding": 0, "stride_h": 1, "activation": 0}), "SHAPE"),
    ("depthwise without a stride's height", depthwise,
     op(options={"padding": 1, "stride_w": 1, "depth_multiplier": 2, "activation": 0}), "SHAPE"),
    ("depthwise without its multiplier of one", depthwise,
     lambda g: (tensor(0, shape=[1, 4, 4, 4])(g),
                op(options={"padding": 1, "stride_w": 1, "stride_h": 1, "activation": 0})(g)), "SHAPE"),
    ("scales of a matrix's columns, as many as rows", dense,
     lambda g: (tensor(1, scale=[0.1] * 4, axis=1)(g), tensor(2, scale=[0.01] * 4)(g)), "QUANT"),
    ("scales a row with a zero point, bias alike", dense,
     lambda g: (tensor(1, scale=[0.1] * 4, zero_point=[1] * 4)(g), tensor(2, scale=[0.01] * 4)(g)), "QUANT"),
    ("mean over an axis beyond the rank as well", mean, tensor(2, shape=[3], data=ints(1, 2, 4)), "SHAPE"),
    ("mean over axis -5 beside the right ones", mean, tensor(2, shape=[3], data=ints(1, 2, -5)), "SHAPE"),
    ("pooling without its filter's height", pool,
     op(options={"padding": 1, "stride_w": 2, "stride_h": 2, "filter_w": 2}), "SHAPE"),
    ("pooling without its filter's width", pool,
     op(options={"padding": 1, "stride_w": 2, "stride_h": 2, "filter_h": 2}), "SHAPE"),
    ("pooling without a stride's height", pool,
     lambda g: (op(options={"padding": 1, "stride_w": 2, "filter_w": 2, "filter_h": 2})(g),
                tensor(1, shape=[1, 3, 2, 2])(g)), "SHAPE"),
    ("pooling without a stride's width", pool,
     lambda g: (op(options={"padding": 1, "stride_h": 2, "filter_w": 2, "filter_h": 2})(g),
                tensor(1, shape=[1, 2, 3, 2])(g)), "SHAPE"),
    ("reshape says another first dimension", reshape, tensor(2, data=ints(4, 2)), "SHAPE"),
    ("schema version 4", dense, graph_with(version=4), "FORMAT"),
    ("no subgraph", dense, graph_with(subgraphs=0), "FORMAT"),
    ("no input", dense, graph_with(inputs=()), "FORMAT"),
    ("input beyond the tensors", dense, graph_with(inputs=(4,)), "FORMAT"),
    ("input is a constant", dense, graph_with(inputs=(1,)), "FORMAT"),
    ("two named outputs", dense, graph_with(outputs=(3, 3)), "FORMAT"),
    ("output that nobody writes", add, lambda g: (unused(4)(g), graph_with(outputs=(3,))(g)), "FORMAT"),
    ("output tensor index negative", dense, op(outputs=[-1]), "FORMAT"),
    ("output tensor index too large", dense, op(outputs=[4]), "FORMAT"),
    ("input tensor index one too large", dense, op(inputs=[4, 1, 2]), "FORMAT"),
    ("operator without output", dense, lambda g: (op(outputs=[])(g), graph_with(outputs=(3,))(g)), "FORMAT"),
    ("optional tensor where one is needed", dense, op(inputs=[0, -1, 2]), "FORMAT"),
    ("depthwise convolution without options", depthwise, op(options=None), "FORMAT"),
    ("convolution without options", conv, op(options=None), "FORMAT"),
    ("pooling without options", pool, op(options=None), "FORMAT"),
    ("softmax without options", soft, op(options=None), "FORMAT"),
    ("mean without options", mean, op(options=None), "FORMAT"),
    ("addition without options", add, op(options=None), "FORMAT"),
    ("reshape with another operator's options", reshape, op(options={}, options_type=22), "FORMAT"),
    ("2^20 + 1 elements", reshape, lambda g: [tensor(n, shape=[1, 2**20 + 1])(g) for n in (0, 1)], "SHAPE"),
    ("2^10 x 2^10 x 2 elements", reshape, lambda g: [tensor(n, shape=[2**10, 2**10, 2])(g) for n in (0, 1)], "SHAPE"),
    ("work memory for 2 x 68 KB", soft, lambda g: [tensor(n, shape=[272, 256])(g) for n in (0, 1)], "ARENA"),
    ("zero point -129", dense, tensor(0, zero_point=-129), "QUANT"),
    ("zero point 2^32 - 1", dense, tensor(0, zero_point=2**32 - 1), "QUANT"),
    ("zero points without scales", dense, tensor(0, scale=[], zero_point=[1]), "QUANT"),
    ("scale of 2^61", dense, lambda g: [tensor(n, scale=2.0**61)(g) for n in (0, 3)], "QUANT"),
    ("scale of 2^-61", reshape, lambda g: [tensor(n, scale=2.0**-61)(g) for n in (0, 1)], "QUANT"),
    ("scale of 2^61 that is only moved", reshape, lambda g: [tensor(n, scale=2.0**61)(g) for n in (0, 1)], "QUANT"),
    ("quantised dimension 1 of a vector", conv, tensor(2, axis=1), "QUANT"),
    ("convolution of int32 weights", conv, tensor(1, dtype="int32"), "UNSUPPORTED_TYPE"),
    ("convolution of an int32 constant", conv, of_constant(dtype="int32"), "UNSUPPORTED_TYPE"),
    ("convolution of a constant with two scales", conv, of_constant(scale=[0.1, 0.1], axis=1), "QUANT"),
    ("weights that are computed", dense, op(inputs=[0, 0, 2]), "FORMAT"),
    ("weights without quantisation", conv, tensor(1, scale=None), "QUANT"),
    ("convolution with an int8 bias", conv, tensor(2, dtype="int8"), "UNSUPPORTED_TYPE"),
    ("filter of rank 3", conv, tensor(1, shape=[4, 3, 6], data=np.ones((4, 3, 6), np.int8)), "SHAPE"),
    ("convolution with more batches than inputs", conv, tensor(3, shape=[2, 5, 5, 4]), "SHAPE"),
    ("convolution with another width", conv, tensor(3, shape=[1, 5, 4, 4]), "SHAPE"),
    ("convolution with another number of channels", conv, tensor(3, shape=[1, 5, 5, 3]), "SHAPE"),
    ("convolution into rank 3", conv, tensor(3, shape=[5, 5, 4]), "SHAPE"),
    ("width of a VALID output one more", pool, tensor(1, shape=[1, 2, 3, 2]), "SHAPE"),
    ("stride 4097", conv, lambda g: (options(stride_h=4097)(g), tensor(3, shape=[1, 1, 5, 4])(g)), "SHAPE"),
    ("dilation 4097", conv, options(dilation_h=4097), "SHAPE"),
    ("dilation negative", conv, options(dilation_w=-1), "SHAPE"),
    ("RELU with a range beyond int32", dense, lambda g: (tensor(3, scale=1e-11)(g), options(activation=2)(g)), "QUANT"),
    ("activation SIGN_BIT", dense, options(activation=5), "UNSUPPORTED_OP"),
    ("activation of an addition", add, options(activation=4), "UNSUPPORTED_OP"),
    ("activation of a pooling", pool, options(activation=6), "UNSUPPORTED_OP"),
    ("depthwise with a filter batch of 2", depthwise,
     tensor(1, shape=[2, 3, 3, 4], data=np.ones((2, 3, 3, 4), np.int8)), "SHAPE"),
    ("depthwise multiplier 1 of 2", depthwise, options(depth_multiplier=1), "SHAPE"),
    ("depthwise multiplier 0", depthwise, options(depth_multiplier=0), "SHAPE"),
    ("depthwise with channels that do not divide", depthwise,
     lambda g: (tensor(0, shape=[1, 4, 4, 3])(g), options(depth_multiplier=1)(g)), "SHAPE"),
    ("depthwise with scales of another dimension", depthwise,
     tensor(1, axis=2, scale=[0.1, 0.2, 0.3, 0.4]), "QUANT"),
    ("depthwise of rank 3", depthwise, tensor(0, shape=[4, 4, 2]), "SHAPE"),
    ("depthwise with a bias of another length", depthwise,
     tensor(2, shape=[3], scale=0.1, data=ints(1, 2, 3)), "SHAPE"),
    ("depthwise with an unknown padding", depthwise, options(padding=2), "UNSUPPORTED_OP"),
    ("matrix of rank 3", dense, tensor(1, shape=[4, 6, 1], data=np.ones((4, 6, 1), np.int8)), "SHAPE"),
    ("matrix product with fewer results", dense, tensor(3, shape=[1, 3]), "SHAPE"),
    ("matrix product with more rows", dense, tensor(3, shape=[2, 4]), "SHAPE"),
    ("matrix product into a vector", dense, tensor(3, shape=[4]), "SHAPE"),
    ("matrix product that keeps other dimensions", dense,
     lambda g: (tensor(0, shape=[1, 2, 3])(g), options(keep_num_dims=True)(g), tensor(3, shape=[1, 2, 4])(g)), "SHAPE"),
    ("matrix product with a bias of another length", dense, tensor(2, shape=[3], data=ints(1, 2, 3)), "SHAPE"),
    ("bias with two scales", dense, tensor(2, scale=[0.02, 0.02]), "QUANT"),
    ("bias 2.1 % of an output step too coarse", dense, tensor(2, scale=0.02 + 0.021 * 0.5), "QUANT"),
    ("bias 2.1 % of an output step too fine", dense, tensor(2, scale=0.02 - 0.021 * 0.5), "QUANT"),
    ("scales a row with a bias that has two", dense,
     lambda g: (tensor(1, scale=[0.1] * 4)(g), tensor(2, scale=[0.02] * 2)(g)), "QUANT"),
    ("matrix of int32", dense, tensor(1, dtype="int32"), "UNSUPPORTED_TYPE"),
    ("matrix product with a multiplier beyond 2^30", dense,
     lambda g: (tensor(3, scale=1e-13)(g), tensor(2, scale=0.1 * 0.2)(g), options(activation=0)(g)), "QUANT"),
    ("softmax into another shape", soft, tensor(1, shape=[2, 2]), "SHAPE"),
    ("softmax over 512 in the last of two", soft, lambda g: [tensor(n, shape=[2, 512])(g) for n in (0, 1)], "SHAPE"),
    ("softmax output scale a bit smaller", soft, tensor(1, scale=2.0**-8 - 2.0**-32), "QUANT"),
    ("softmax output scale a bit larger", soft, tensor(1, scale=2.0**-8 + 2.0**-31), "QUANT"),
    ("softmax output zero point -127", soft, tensor(1, zero_point=-127), "QUANT"),
    ("softmax beta negative", soft, options(beta=-1.0), "UNSUPPORTED_OP"),
    ("softmax beta infinite", soft, options(beta=float("inf")), "UNSUPPORTED_OP"),
    ("softmax just too flat", soft, lambda g: (tensor(0, scale=2.0**-26)(g), options(beta=1.0)(g)), "QUANT"),
    ("pooling with another zero point", pool, tensor(1, zero_point=4), "QUANT"),
    ("pooling of rank 3", pool, tensor(0, shape=[4, 4, 2]), "SHAPE"),
    ("pooling with more channels", pool, tensor(1, shape=[1, 2, 2, 3]), "SHAPE"),
    ("pooling with more batches", pool, tensor(1, shape=[2, 2, 2, 2]), "SHAPE"),
    ("pooling with another height", pool, tensor(1, shape=[1, 3, 2, 2]), "SHAPE"),
    ("pooling with stride 0", pool, options(stride_h=0), "SHAPE"),
    ("pooling with an unknown padding", pool, options(padding=3), "UNSUPPORTED_OP"),
    ("pooling larger than its input", pool, options(filter_h=5), "SHAPE"),
    ("mean over axes of rank 2", mean, tensor(2, shape=[1, 2], data=ints([1, 2])), "SHAPE"),
    ("mean of computed axes", mean, op(inputs=[0, 0]), "FORMAT"),
    ("mean that drops what it keeps", mean, options(keep_dims=True), "SHAPE"),
    ("mean that keeps what it drops", mean, tensor(1, shape=[1, 1, 1, 2]), "SHAPE"),
    ("mean with a multiplier beyond 2^30", mean, tensor(1, scale=2.0**-36), "QUANT"),
    ("axis one beyond the rank", mean, tensor(2, data=ints(4, 2)), "SHAPE"),
    ("negative padding behind", pad, tensor(2, data=ints([1, 1], [2, -1])), "SHAPE"),
    ("padding that is not the output's", pad, tensor(2, data=ints([1, 1], [0, 2])), "SHAPE"),
    ("padding of int8", pad, tensor(2, dtype="int8"), "UNSUPPORTED_TYPE"),
    ("padding into another rank", pad, tensor(1, shape=[4, 4, 1]), "SHAPE"),
    ("padding in three columns", pad, tensor(2, shape=[2, 3], data=ints([1, 1, 0], [0, 1, 0])), "SHAPE"),
    ("padding with another scale", pad, tensor(1, scale=0.2), "QUANT"),
    ("reshape with another scale", reshape, tensor(1, scale=0.2), "QUANT"),
    ("reshape with another zero point", reshape, tensor(1, zero_point=2), "QUANT"),
    ("reshape says a shape of another rank", reshape, tensor(2, shape=[3], data=ints(3, 2, 1)), "SHAPE"),
    ("reshape says a shape of rank 2", reshape, tensor(2, shape=[1, 2], data=ints([3, 2])), "SHAPE"),
    ("reshape by an int8 shape", reshape, tensor(2, dtype="int8"), "UNSUPPORTED_TYPE"),
    ("reshape by a computed shape", reshape, op(inputs=[0, 0]), "UNSUPPORTED_TYPE"),
    ("addition of an int32 constant", add, tensor(2, dtype="int32"), "UNSUPPORTED_TYPE"),
    ("addition of what has no scale", add, tensor(2, scale=None), "QUANT"),
    ("addition into another rank", add, tensor(1, shape=[1, 2, 3]), "SHAPE"),
    ("addition that narrows", add, tensor(1, shape=[2, 1]), "SHAPE"),
    ("addition of 3 and 2", add, tensor(2, shape=[3, 3], data=np.ones((3, 3), np.int8)), "SHAPE"),
    ("addition with a multiplier of 1", add, lambda g: (tensor(1, scale=2 * 2.0**-20)(g), tensor(0, scale=1.0)(g),
                                                        tensor(2, scale=1.0)(g)), "QUANT"),
    ("matrix product with a dimension too many", dense, tensor(3, shape=[1, 4, 1]), "SHAPE"),
    ("matrix product with a dimension too few", dense, tensor(3, shape=[4]), "SHAPE"),
    ("mean with a dimension too many", mean, tensor(1, shape=[1, 2, 1]), "SHAPE"),
    ("softmax with a dimension too many", soft, tensor(1, shape=[1, 4, 1]), "SHAPE"),
    ("addition with a dimension too many", add, tensor(1, shape=[2, 3, 1]), "SHAPE"),
    ("padding with a dimension too many", pad, tensor(1, shape=[4, 4, 1]), "SHAPE"),
    ("shape operand with a dimension too few", reshape, tensor(1, shape=[3, 2, 1]), "SHAPE"),
]  # fmt: skip
"""Name, right model, change, the status of nn.h that names the reason."""


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _put(data: bytes, at: int, value: int, size: int) -> bytes:
    return data[:at] + (value % (1 << 8 * size)).to_bytes(size, "little") + data[at + size :]


def _field(data: bytes, table: int, field: int) -> int:
    """Where a field's value stands."""
    vtable = table - _u32(data, table)
    return table + _u16(data, vtable + 4 + 2 * field)


def _follow(data: bytes, at: int) -> int:
    return at + _u32(data, at)


def damaged_models(base: Callable[[], Graph] = dense) -> Iterator[tuple[str, bytes]]:
    """Files whose tables and vectors reach outside of the file, or of what holds them."""
    data = base().build()
    size = len(data)

    def first(table: int, field: int) -> int:
        return _follow(data, _follow(data, _field(data, table, field)) + 4)

    model = _follow(data, 0)
    graph = first(model, 2)
    tables = {
        "model": (model, 2), "operator code": (first(model, 1), 2), "subgraph": (graph, 0),
        "tensor": (first(graph, 0), 0), "operator": (first(graph, 3), 1), "buffer": (first(model, 4), None),
    }  # fmt: skip
    for name, (table, field) in tables.items():
        vtable = (table - _u32(data, table)) % (1 << 32)
        yield f"{name}: vtable before the file", _put(data, table, table + 1, 4)
        yield f"{name}: vtable at the file's end", _put(data, table, table - size + 2, 4)
        yield f"{name}: vtable of an odd size", _put(data, vtable, _u16(data, vtable) + 1, 2)
        yield f"{name}: vtable of 2 bytes", _put(data, vtable, 2, 2)
        yield f"{name}: vtable longer than the file", _put(data, vtable, 0xFFFE, 2)
        yield f"{name}: table of 3 bytes", _put(data, vtable + 2, 3, 2)
        yield f"{name}: table longer than the file", _put(data, vtable + 2, 0xFFFF, 2)
        if field is not None:
            slot = vtable + 4 + 2 * field
            yield f"{name}: a field inside the table's head", _put(data, slot, 2, 2)
            yield f"{name}: a field behind its table", _put(data, slot, _u16(data, vtable + 2), 2)
            yield f"{name}: a field that reaches behind its table", _put(data, slot, _u16(data, vtable + 2) - 3, 2)
    vectors = {
        "operator codes": _field(data, model, 1), "subgraphs": _field(data, model, 2),
        "buffers": _field(data, model, 4), "tensors": _field(data, graph, 0), "inputs": _field(data, graph, 1),
        "operators": _field(data, graph, 3), "shape": _field(data, first(graph, 0), 0),
    }  # fmt: skip
    for name, at in vectors.items():
        vector = _follow(data, at)
        yield f"{name}: a vector at the file's end", _put(data, at, size - at, 4)
        yield f"{name}: a vector 3 bytes before the end", _put(data, at, size - 3 - at, 4)
        yield f"{name}: a vector far behind the end", _put(data, at, 0xFFFFFFF0, 4)
        for count in (0x40000000 + _u32(data, vector), 0x7FFFFFFF, 0xFFFFFFFF, (size - vector) // 4 + 1):
            yield f"{name}: {count:#x} entries", _put(data, vector, count, 4)
    for at in (0, 4, size - 3, size, 0x7FFFFFFF, 0xFFFFFFFC):
        yield f"the root at {at:#x}", _put(data, 0, at, 4)
    for length in (0, 4, 7, 8, 40, size // 2, size - 64):
        yield f"cut after {length} bytes", data[:length]


def wrong_model(base: Callable[[], Graph], change: Change) -> bytes:
    """The file of a right model with a change."""
    graph = base()
    change(graph)
    return graph.build()
