"""Makes small .tflite models for tests, self-tests and benchmarks.

It covers the usual parts of device models: fully connected, convolution, softmax, add; int8, int16 and
float32; several inputs and outputs; and deliberately bad shapes. Weights come from a seed, so the seed
determines the model. Field meanings follow the TFLite schema v3 and the TFLite 8-bit quantisation
specification (symmetric weights, int32 bias at scale input * weight).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ModelBuilder"]

_TYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "int16": 7,
    "int8": 9,
}  # TFLite schema: enum TensorType
_CODES = {
    "ADD": 0,
    "CONV_2D": 3,
    "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 9,
    "RESHAPE": 22,
    "SOFTMAX": 25,
    "SVDF": 27,
    "CUSTOM": 32,
}


@dataclass
class _Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zeros: tuple[int, ...]
    data: bytes
    axis: int = 0
    signature: tuple[int, ...] | None = None
    variable: bool = False


@dataclass
class ModelBuilder:
    """Collects tensors and operators, then writes the FlatBuffer."""

    tensors: list[_Tensor] = field(default_factory=list)
    operators: list[tuple[str, list[int], list[int], dict[str, Any]]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    description: str = ""
    others: list[ModelBuilder] = field(default_factory=list)  # further subgraphs
    signatures: dict[str, int] = field(default_factory=dict)  # key to number of the subgraph

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        *,
        scale: float | Sequence[float] = 0.0,
        zero: int = 0,
        data: npt.NDArray[Any] | None = None,
        signature: Sequence[int] | None = None,
        axis: int = 0,
        variable: bool = False,
    ) -> int:
        """Add a tensor; returns its index. `scale` 0 means not quantised."""
        scales = tuple(np.atleast_1d(np.asarray(scale, dtype=float)))
        if scales == (0.0,):
            scales = ()
        raw = b"" if data is None else np.ascontiguousarray(data, dtype=dtype).tobytes()
        self.tensors.append(
            _Tensor(
                f"t{len(self.tensors)}",
                tuple(shape),
                dtype,
                scales,
                (zero,) * len(scales),
                raw,
                axis,
                None if signature is None else tuple(signature),
                variable,
            )
        )
        return len(self.tensors) - 1

    def op(self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """Append an operator."""
        self.operators.append((name, list(inputs), list(outputs), options))

    def dense(self, source: int, units: int, rng: np.random.Generator, *, scale: float = 0.05, zero: int = 0) -> int:
        """A fully connected layer of the source's type with random weights; returns its output tensor."""
        inp = self.tensors[source]
        width, dtype = inp.shape[-1], inp.dtype
        if dtype == "float32":
            weights = self.tensor([units, width], dtype, data=rng.normal(size=(units, width)).astype(np.float32))
            bias = self.tensor([units], dtype, data=rng.normal(size=units).astype(np.float32))
            out = self.tensor([inp.shape[0], units], dtype)
        else:
            w_scale = 0.02
            weights = self.tensor(
                [units, width], "int8", scale=w_scale, data=rng.integers(-127, 128, (units, width), dtype=np.int8)
            )
            wide = "int64" if dtype == "int16" else "int32"
            bias = self.tensor(
                [units], wide, scale=inp.scales[0] * w_scale, data=rng.integers(-2000, 2000, units, dtype=np.int64)
            )
            out = self.tensor([inp.shape[0], units], dtype, scale=scale, zero=zero)
        self.op("FULLY_CONNECTED", [source, weights, bias], [out])
        return out

    def build(self) -> bytes:
        """The .tflite file."""
        import flatbuffers
        import tflite

        b = flatbuffers.Builder(4096)
        parts = [self, *self.others]
        buffer_refs = []
        for data in (b"", *(t.data for part in parts for t in part.tensors)):
            ref = None
            if data:
                b.StartVector(1, len(data), 16)
                b.head = b.head - len(data)
                b.Bytes[b.head : b.head + len(data)] = data
                ref = b.EndVector()
            tflite.BufferStart(b)
            if ref is not None:
                tflite.BufferAddData(b, ref)
            buffer_refs.append(tflite.BufferEnd(b))
        names = sorted({name for part in parts for name, *_ in part.operators})
        graphs, first = [], 0
        for part in parts:
            tensor_refs = [self._tensor(b, tflite, t, first + i) for i, t in enumerate(part.tensors)]
            first += len(part.tensors)
            op_refs = [self._operator(b, tflite, names, *op) for op in part.operators]
            tensors_v, ops_v = _refs(b, tensor_refs), _refs(b, op_refs)
            inputs_v, outputs_v = _ints(b, part.inputs), _ints(b, part.outputs)
            tflite.SubGraphStart(b)
            tflite.SubGraphAddTensors(b, tensors_v)
            tflite.SubGraphAddInputs(b, inputs_v)
            tflite.SubGraphAddOutputs(b, outputs_v)
            tflite.SubGraphAddOperators(b, ops_v)
            graphs.append(tflite.SubGraphEnd(b))
        code_refs = [self._code(b, tflite, name) for name in names]
        signatures_v = _refs(b, [self._signature(b, tflite, *item) for item in self.signatures.items()])
        graphs_v, codes_v, buffers_v = _refs(b, graphs), _refs(b, code_refs), _refs(b, buffer_refs)
        description = b.CreateString(self.description)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddDescription(b, description)
        tflite.ModelAddOperatorCodes(b, codes_v)
        tflite.ModelAddSubgraphs(b, graphs_v)
        tflite.ModelAddBuffers(b, buffers_v)
        if self.signatures:
            tflite.ModelAddSignatureDefs(b, signatures_v)
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())

    def _signature(self, b: Any, tflite: Any, key: str, number: int) -> int:
        part = [self, *self.others][number]
        maps = []
        for letter, tensors in (("x", part.inputs), ("y", part.outputs)):
            entries = []
            for position, tensor in enumerate(tensors):
                name = b.CreateString(f"{letter}{position}")
                tflite.TensorMapStart(b)
                tflite.TensorMapAddName(b, name)
                tflite.TensorMapAddTensorIndex(b, tensor)
                entries.append(tflite.TensorMapEnd(b))
            maps.append(_refs(b, entries))
        name = b.CreateString(key)
        tflite.SignatureDefStart(b)
        tflite.SignatureDefAddInputs(b, maps[0])
        tflite.SignatureDefAddOutputs(b, maps[1])
        tflite.SignatureDefAddSignatureKey(b, name)
        tflite.SignatureDefAddSubgraphIndex(b, number)
        return int(tflite.SignatureDefEnd(b))

    @staticmethod
    def _tensor(b: Any, tflite: Any, tensor: _Tensor, index: int) -> int:
        name = b.CreateString(tensor.name)
        shape = _ints(b, tensor.shape)
        signature = None if tensor.signature is None else _ints(b, tensor.signature)
        quant = None
        if tensor.scales:
            b.StartVector(4, len(tensor.scales), 4)
            for scale in reversed(tensor.scales):
                b.PrependFloat32(scale)
            scales = b.EndVector()
            b.StartVector(8, len(tensor.zeros), 8)
            for zero in reversed(tensor.zeros):
                b.PrependInt64(zero)
            zeros = b.EndVector()
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, scales)
            tflite.QuantizationParametersAddZeroPoint(b, zeros)
            tflite.QuantizationParametersAddQuantizedDimension(b, tensor.axis)
            quant = tflite.QuantizationParametersEnd(b)
        tflite.TensorStart(b)
        tflite.TensorAddName(b, name)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, _TYPES[tensor.dtype])
        tflite.TensorAddBuffer(b, index + 1)
        tflite.TensorAddIsVariable(b, tensor.variable)
        if quant is not None:
            tflite.TensorAddQuantization(b, quant)
        if signature is not None:
            tflite.TensorAddShapeSignature(b, signature)
        return int(tflite.TensorEnd(b))

    @staticmethod
    def _operator(
        b: Any, tflite: Any, names: list[str], name: str, inputs: list[int], outputs: list[int], options: dict[str, Any]
    ) -> int:
        inputs_v, outputs_v = _ints(b, inputs), _ints(b, outputs)
        kind, opts = 0, None
        if name == "FULLY_CONNECTED":
            tflite.FullyConnectedOptionsStart(b)
            tflite.FullyConnectedOptionsAddFusedActivationFunction(b, options.get("activation", 0))
            kind, opts = tflite.BuiltinOptions.FullyConnectedOptions, tflite.FullyConnectedOptionsEnd(b)
        elif name == "SOFTMAX":
            tflite.SoftmaxOptionsStart(b)
            tflite.SoftmaxOptionsAddBeta(b, options.get("beta", 1.0))
            kind, opts = tflite.BuiltinOptions.SoftmaxOptions, tflite.SoftmaxOptionsEnd(b)
        elif name == "SVDF":
            tflite.SVDFOptionsStart(b)
            tflite.SVDFOptionsAddRank(b, options.get("rank", 1))
            kind, opts = tflite.BuiltinOptions.SVDFOptions, tflite.SVDFOptionsEnd(b)
        elif name == "ADD":
            tflite.AddOptionsStart(b)
            kind, opts = tflite.BuiltinOptions.AddOptions, tflite.AddOptionsEnd(b)
        elif name == "CONV_2D":
            tflite.Conv2DOptionsStart(b)
            tflite.Conv2DOptionsAddPadding(b, 1)
            tflite.Conv2DOptionsAddStrideW(b, 1)
            tflite.Conv2DOptionsAddStrideH(b, 1)
            tflite.Conv2DOptionsAddDilationWFactor(b, 1)
            tflite.Conv2DOptionsAddDilationHFactor(b, 1)
            kind, opts = tflite.BuiltinOptions.Conv2DOptions, tflite.Conv2DOptionsEnd(b)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, names.index(name))
        tflite.OperatorAddInputs(b, inputs_v)
        tflite.OperatorAddOutputs(b, outputs_v)
        if opts is not None:
            tflite.OperatorAddBuiltinOptionsType(b, kind)
            tflite.OperatorAddBuiltinOptions(b, opts)
        return int(tflite.OperatorEnd(b))

    @staticmethod
    def _code(b: Any, tflite: Any, name: str) -> int:
        code = _CODES.get(name, _CODES["CUSTOM"])
        custom = None if name in _CODES else b.CreateString(name)
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, code)
        tflite.OperatorCodeAddBuiltinCode(b, code)
        # int16 fully connected and softmax exist from these versions on.
        tflite.OperatorCodeAddVersion(b, {"FULLY_CONNECTED": 4, "SOFTMAX": 2, "CONV_2D": 3}.get(name, 1))
        if custom is not None:
            tflite.OperatorCodeAddCustomCode(b, custom)
        return int(tflite.OperatorCodeEnd(b))


def _ints(b: Any, values: Sequence[int]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependInt32(value)
    return int(b.EndVector())


def _refs(b: Any, refs: Sequence[int]) -> int:
    b.StartVector(4, len(refs), 4)
    for ref in reversed(refs):
        b.PrependUOffsetTRelative(ref)
    return int(b.EndVector())
