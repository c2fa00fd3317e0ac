"""Runs the operators of an int8 .tflite model in order (TFLite schema version 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tflite

from tfm_harness.parity.numpy_reference import operators as ops
from tfm_harness.parity.numpy_reference.edges import WATCH, Watch
from tfm_harness.parity.numpy_reference.fixed_point import Ints, Multiplier, Multipliers
from tfm_harness.parity.numpy_reference.softmax import softmax

__all__ = ["OPERATORS", "Interpreter", "Unsupported"]

_TYPES = {tflite.TensorType.INT8: np.int8, tflite.TensorType.INT32: np.int32}
_TYPE_NAMES = {value: name.lower() for name, value in vars(tflite.TensorType).items() if not name.startswith("_")}


class Unsupported(Exception):  # noqa: N818 - a refusal: this reference does not run the model
    """The model holds something that this reference does not compute."""


class Interpreter:
    """One loaded model.

    Raises:
        Unsupported: an operator, type or form of quantisation that is not in `OPERATORS`' specification.
    """

    def __init__(self, content: bytes) -> None:
        model = tflite.Model.GetRootAs(content, 0)
        if model.SubgraphsLength() != 1:
            raise Unsupported(f"{model.SubgraphsLength()} subgraphs; one is computed")
        self._graph: Any = model.Subgraphs(0)
        self._tensors = [_Tensor(model, self._graph.Tensors(i), i) for i in range(self._graph.TensorsLength())]
        self._steps = [self._step(model, self._graph.Operators(i)) for i in range(self._graph.OperatorsLength())]
        self.inputs = [self._tensors[self._graph.Inputs(i)] for i in range(self._graph.InputsLength())]
        self.outputs = [self._tensors[self._graph.Outputs(i)] for i in range(self._graph.OutputsLength())]

    def run(self, inputs: list[Any]) -> list[Any]:
        """One inference: an int8 array for each input, in the model's order; likewise the outputs."""
        values: dict[int, Ints] = {t.index: t.data for t in self._tensors if t.data is not None}
        for tensor, array in zip(self.inputs, inputs, strict=True):
            values[tensor.index] = np.asarray(array, np.int64).reshape(tensor.shape)
        watch = WATCH.get()
        for number, step in enumerate(self._steps):
            if watch is not None:
                watch.op = number
            step(values)
        return [values[t.index].astype(t.dtype).reshape(t.shape) for t in self.outputs]

    def edges(self, inputs: list[Any]) -> Any:
        """The edges of the arithmetic that one inference reaches, see `Watch.hit`."""
        watch = Watch(len(self._steps))
        token = WATCH.set(watch)
        try:
            self.run(inputs)
        finally:
            WATCH.reset(token)
        return watch.hit

    def _step(self, model: Any, op: Any) -> Callable[[dict[int, Ints]], None]:
        code = model.OperatorCodes(op.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number not in _KERNELS:
            raise Unsupported(f"operator {tflite.opcode2name(number)}")
        inputs = [self._tensors[op.Inputs(i)] if op.Inputs(i) >= 0 else None for i in range(op.InputsLength())]
        if op.OutputsLength() != 1:
            raise Unsupported(f"{op.OutputsLength()} outputs of {tflite.opcode2name(number)}")
        output = self._tensors[op.Outputs(0)]
        for tensor in (inputs[0], output):
            if tensor is None or tensor.dtype is not np.int8 or len(tensor.scales) != 1:
                raise Unsupported(f"{tflite.opcode2name(number)} on other tensors than int8 with one scale")
        compute = _KERNELS[number](_Node(op, inputs, output))

        def step(values: dict[int, Ints]) -> None:
            given = [values.get(t.index) if t is not None else None for t in inputs]
            values[output.index] = compute(given).reshape(output.shape)

        return step


class _Tensor:
    """A tensor's description, and its content if it is constant."""

    def __init__(self, model: Any, tensor: Any, index: int) -> None:
        self.index = index
        self.shape = tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
        dtype = _TYPES.get(tensor.Type())
        if dtype is None or tensor.IsVariable() or tensor.Sparsity() is not None:
            what = _TYPE_NAMES.get(tensor.Type(), f"of type {tensor.Type()}")
            if tensor.IsVariable():
                what = f"{what}, variable (state from one inference to the next)"
            elif tensor.Sparsity() is not None:
                what = f"{what}, sparse"
            name = (tensor.Name() or b"").decode("utf-8", "replace")[:60]
            raise Unsupported(f"tensor {index} {name!r} is {what}; dense int8 and int32 tensors are computed")
        self.dtype: Any = dtype
        quantisation = tensor.Quantization()
        count = quantisation.ScaleLength() if quantisation else 0
        self.scales = tuple(float(np.float32(quantisation.Scale(i))) for i in range(count))
        zeros = quantisation.ZeroPointLength() if quantisation else 0
        self.zeros = tuple(int(quantisation.ZeroPoint(i)) for i in range(zeros)) or (0,)
        self.zero = self.zeros[0]
        data = model.Buffers(tensor.Buffer()).DataAsNumpy()
        self.data: Any = None
        if not isinstance(data, int) and len(data):
            self.data = np.frombuffer(data.tobytes(), np.dtype(dtype).newbyteorder("<")).astype(np.int64)
            self.data = self.data.reshape(self.shape)

    @property
    def scale(self) -> float:
        return self.scales[0]


class _Node:
    """An operator with its tensors and options."""

    def __init__(self, op: Any, inputs: list[_Tensor | None], output: _Tensor) -> None:
        self.op, self.inputs, self.output = op, inputs, output

    def options(self, kind: Any) -> Any:
        table = self.op.BuiltinOptions()
        options = kind()
        if table is not None:
            options.Init(table.Bytes, table.Pos)
        return options if table is not None else None

    def input(self, number: int) -> _Tensor:
        tensor = self.inputs[number] if number < len(self.inputs) else None
        if tensor is None:
            raise Unsupported(f"an operator without its input {number}")
        return tensor

    def constant(self, number: int) -> Ints:
        data: Ints | None = self.input(number).data
        if data is None:
            raise Unsupported("weights, axes, paddings or shapes that are not constant")
        return data

    def bias(self, units: int) -> Ints:
        if len(self.inputs) < 3 or self.inputs[2] is None:
            return np.zeros(units, np.int64)
        return self.constant(2)

    def multipliers(self, *, as_float: bool = False) -> Multipliers:
        """Input scale times each filter scale divided by the output scale, in double precision.

        Args:
            as_float: a product with the only filter scale is rounded to float first, as FULLY_CONNECTED does it.
        """
        scales = self.input(1).scales
        if not scales:
            raise Unsupported("weights without a scale")
        first = self.input(0).scale
        if as_float and len(scales) == 1:
            scale = float(np.float32(first) * np.float32(scales[0]))
            return Multipliers([Multiplier.of(scale / self.output.scale)])
        return Multipliers([Multiplier.of(first * scale / self.output.scale) for scale in scales])

    def limits(self, activation: int) -> tuple[int, int]:
        if activation not in {0, 1, 2, 3}:
            raise Unsupported(f"fused activation {activation}")
        return ops.clamp_range(activation, self.output.scale, self.output.zero)

    def windows(self, options: Any, size: tuple[int, int], dilation: tuple[int, int]) -> tuple[ops.Window, ops.Window]:
        same = options.Padding() == tflite.Padding.SAME
        _, rows, columns, _ = self.input(0).shape
        return (
            ops.Window.of(rows, size[0], options.StrideH(), dilation[0], same=same),
            ops.Window.of(columns, size[1], options.StrideW(), dilation[1], same=same),
        )


Compute = Callable[[list[Any]], Ints]


def _convolution(node: _Node) -> Compute:
    options = node.options(tflite.Conv2DOptions)
    weights = node.constant(1)
    if weights.shape[3] != node.input(0).shape[3]:
        raise Unsupported("grouped convolution")
    return _filtered(node, ops.convolution, options, weights, weights.shape[1:3], weights.shape[0])


def _depthwise(node: _Node) -> Compute:
    options = node.options(tflite.DepthwiseConv2DOptions)
    weights = node.constant(1)
    return _filtered(node, ops.depthwise_convolution, options, weights, weights.shape[1:3], weights.shape[3])


def _filtered(node: _Node, kernel: Any, options: Any, weights: Ints, size: Any, units: int) -> Compute:
    if any(node.input(1).zeros):
        raise Unsupported("weights of a convolution with a zero point")
    windows = node.windows(options, size, (options.DilationHFactor(), options.DilationWFactor()))
    fixed = {
        "windows": windows,
        "input_zero": node.input(0).zero,
        "multipliers": node.multipliers(),
        "output_zero": node.output.zero,
        "limits": node.limits(options.FusedActivationFunction()),
    }
    bias = node.bias(units)
    return lambda given: kernel(given[0], weights, bias, **fixed)


def _fully_connected(node: _Node) -> Compute:
    options = node.options(tflite.FullyConnectedOptions)
    weights = node.constant(1)
    limits = node.limits(options.FusedActivationFunction() if options else 0)
    multipliers, bias = node.multipliers(as_float=True), node.bias(weights.shape[0])
    zeros = node.input(0).zero, node.input(1).zero, node.output.zero
    if len(set(node.input(1).zeros)) > 1:
        raise Unsupported("weights with several zero points")
    return lambda given: ops.fully_connected(
        given[0].reshape(-1, weights.shape[1]), weights, bias, input_zero=zeros[0], weights_zero=zeros[1],
        multipliers=multipliers, output_zero=zeros[2], limits=limits,
    )  # fmt: skip


def _pool(kernel: Any) -> Callable[[_Node], Compute]:
    def make(node: _Node) -> Compute:
        options = node.options(tflite.Pool2DOptions)
        _same_quantisation(node)
        windows = node.windows(options, (options.FilterHeight(), options.FilterWidth()), (1, 1))
        limits = node.limits(options.FusedActivationFunction())
        return lambda given: kernel(given[0], windows=windows, limits=limits)

    return make


def _same_quantisation(node: _Node) -> None:
    first, output = node.input(0), node.output
    if (first.scale, first.zero) != (output.scale, output.zero):
        raise Unsupported("pooling, padding or reshaping between different quantisations")


def _add(node: _Node) -> Compute:
    options = node.options(tflite.AddOptions)
    limits = node.limits(options.FusedActivationFunction() if options else 0)
    tensors = (node.input(0), node.input(1), node.output)
    if any(t.dtype is not np.int8 or len(t.scales) != 1 for t in tensors):
        raise Unsupported("ADD on other tensors than int8 with one scale")
    scales, zeros = tuple(t.scale for t in tensors), tuple(t.zero for t in tensors)
    return lambda given: ops.add(given[0], given[1], scales=scales, zeros=zeros, limits=limits)  # type: ignore[arg-type] # three of each


def _mean(node: _Node) -> Compute:
    rank = len(node.input(0).shape)
    axes = tuple(sorted({int(axis) % rank for axis in node.constant(1).reshape(-1)}))
    scales, zeros = (node.input(0).scale, node.output.scale), (node.input(0).zero, node.output.zero)
    return lambda given: ops.mean(given[0], axes, scales=scales, zeros=zeros)


def _pad(node: _Node) -> Compute:
    _same_quantisation(node)
    widths = [(int(before), int(after)) for before, after in node.constant(1)]
    zero = node.output.zero
    return lambda given: ops.pad(given[0], widths, zero)


def _reshape(node: _Node) -> Compute:
    _same_quantisation(node)
    return lambda given: np.asarray(given[0])


def _softmax(node: _Node) -> Compute:
    options = node.options(tflite.SoftmaxOptions)
    if node.output.scale != 1 / 256 or node.output.zero != -128:
        raise Unsupported("SOFTMAX with an output other than scale 1/256 and zero point -128")
    if node.input(0).shape[-1] > 511:
        raise Unsupported("SOFTMAX over more than 511 values")
    beta, scale = float(np.float32(options.Beta())), node.input(0).scale

    def compute(given: list[Any]) -> Ints:
        output = softmax(given[0], beta=beta, scale=scale)
        if (watch := WATCH.get()) is not None:
            watch.softmaxed(output)
        return output

    return compute


_KERNELS: Mapping[int, Callable[[_Node], Compute]] = {
    tflite.BuiltinOperator.ADD: _add,
    tflite.BuiltinOperator.AVERAGE_POOL_2D: _pool(ops.average_pool),
    tflite.BuiltinOperator.CONV_2D: _convolution,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: _depthwise,
    tflite.BuiltinOperator.FULLY_CONNECTED: _fully_connected,
    tflite.BuiltinOperator.MAX_POOL_2D: _pool(ops.max_pool),
    tflite.BuiltinOperator.MEAN: _mean,
    tflite.BuiltinOperator.PAD: _pad,
    tflite.BuiltinOperator.RESHAPE: _reshape,
    tflite.BuiltinOperator.SOFTMAX: _softmax,
}
OPERATORS = tuple(sorted(tflite.opcode2name(number) for number in _KERNELS))
"""The operators that this reference computes."""
