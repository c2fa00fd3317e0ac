"""A small writer of .tflite files for tests, on the PyPI package `flatbuffers`.

Field and enumeration numbers are those of TFLite's schema.fbs, version 3. It checks nothing, because tests also write
wrong models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

__all__ = ["CODES", "Graph", "Op", "Tensor"]

CODES = {
    "ADD": 0,
    "AVERAGE_POOL_2D": 1,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "FULLY_CONNECTED": 9,
    "LOGISTIC": 14,
    "MAX_POOL_2D": 17,
    "RESHAPE": 22,
    "SOFTMAX": 25,
    "PAD": 34,
    "MEAN": 40,
}

_TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}

# Options tables: union type, then (field, kind) by name.
_OPTIONS: dict[str, tuple[int, dict[str, tuple[int, str]]]] = {
    "CONV_2D": (
        1,
        {
            "padding": (0, "Int8"),
            "stride_w": (1, "Int32"),
            "stride_h": (2, "Int32"),
            "activation": (3, "Int8"),
            "dilation_w": (4, "Int32"),
            "dilation_h": (5, "Int32"),
        },
    ),
    "DEPTHWISE_CONV_2D": (
        2,
        {
            "padding": (0, "Int8"),
            "stride_w": (1, "Int32"),
            "stride_h": (2, "Int32"),
            "depth_multiplier": (3, "Int32"),
            "activation": (4, "Int8"),
            "dilation_w": (5, "Int32"),
            "dilation_h": (6, "Int32"),
        },
    ),
    "POOL": (
        5,
        {
            "padding": (0, "Int8"),
            "stride_w": (1, "Int32"),
            "stride_h": (2, "Int32"),
            "filter_w": (3, "Int32"),
            "filter_h": (4, "Int32"),
            "activation": (5, "Int8"),
        },
    ),
    "FULLY_CONNECTED": (
        8,
        {"activation": (0, "Int8"), "weights_format": (1, "Int8"), "keep_num_dims": (2, "Bool")},
    ),
    "SOFTMAX": (9, {"beta": (0, "Float32")}),
    "ADD": (11, {"activation": (0, "Int8")}),
    "RESHAPE": (17, {}),
    "PAD": (22, {}),
    "MEAN": (27, {"keep_dims": (0, "Bool")}),
}
_OPTIONS["MAX_POOL_2D"] = _OPTIONS["AVERAGE_POOL_2D"] = _OPTIONS["POOL"]


_NONE: Mapping[int, int] = {}


@dataclass
class Tensor:
    """One tensor; `data` makes it a constant.

    Attributes:
        sparsity: whether it has a sparse layout.
        details: whether it has custom quantisation.
        buffer: the number of its buffer, if not the one that the writer chooses.
        outside: whether its data are after the FlatBuffer (schema 3c).
    """

    shape: Sequence[int]
    scale: float | Sequence[float] | None = None
    zero_point: int | Sequence[int] = 0
    dtype: str = "int8"
    data: npt.NDArray[Any] | None = None
    axis: int = 0
    variable: bool = False
    sparsity: bool = False
    details: bool = False
    buffer: int | None = None
    outside: bool = False


@dataclass
class Op:
    """One operator: its name in the schema, tensor indices and options."""

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: dict[str, Any] | None = field(default_factory=dict)
    options_type: int | None = None


@dataclass
class Graph:
    """A model with one subgraph.

    Attributes:
        codes: the field that has an operator's code: ``old`` (one byte), ``new`` or ``both``; ``custom``: both, and
            also the name of a custom operator.
        sparse: omit values that are the schema's defaults, as converters do.
    """

    tensors: list[Tensor]
    ops: list[Op]
    inputs: Sequence[int] = (0,)
    outputs: Sequence[int] = (-1,)
    version: int = 3
    identifier: bytes = b"TFL3"
    subgraphs: int = 1
    op_version: int = 1
    codes: str = "both"
    sparse: bool = False

    def build(self) -> bytes:
        """The bytes of the .tflite file. An output of -1 is the last operator's."""
        return _Writer(self).finish()


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.b = flatbuffers.Builder(1024)

    def _table(self, fields: Sequence[tuple[int, str, Any]], count: int, defaults: Mapping[int, int] = _NONE) -> int:
        """A table of `count` slots; each field: slot, kind (a scalar kind or Offset), value."""
        self.b.StartObject(count)
        for slot, kind, value in fields:
            if value is None or (self.graph.sparse and kind != "Offset" and value == defaults.get(slot, 0)):
                continue
            if kind == "Offset":
                self.b.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                # A default that equals no value, so that the field is always written.
                getattr(self.b, f"Prepend{kind}Slot")(slot, value, None)
        return int(self.b.EndObject())

    def _vector(self, values: Sequence[Any], width: int, prepend: Callable[[Any], None]) -> int:
        self.b.StartVector(width, len(values), width)
        for value in reversed(values):
            prepend(value)
        return int(self.b.EndVector())

    def _int32s(self, values: Sequence[int]) -> int:
        return self._vector(values, 4, self.b.PrependInt32)

    def _offsets(self, values: Sequence[int]) -> int:
        return self._vector(values, 4, self.b.PrependUOffsetTRelative)

    def _quantization(self, tensor: Tensor) -> int | None:
        if tensor.scale is None:
            return None
        scales = [float(s) for s in np.atleast_1d(np.asarray(tensor.scale, dtype=np.float32))]
        points = np.atleast_1d(np.asarray(tensor.zero_point, dtype=np.int64)).tolist()
        if len(points) == 1:
            points *= len(scales)
        scale = self._vector(scales, 4, self.b.PrependFloat32)
        zero_point = self._vector(points, 8, self.b.PrependInt64)
        fields: list[tuple[int, str, Any]] = [(2, "Offset", scale), (3, "Offset", zero_point)]
        fields += [(4, "Uint8", 1), (5, "Offset", self._empty())] if tensor.details else []
        return self._table([*fields, (6, "Int32", tensor.axis)], 7)

    def _empty(self) -> int:
        self.b.StartObject(0)
        return int(self.b.EndObject())

    def _tensor(self, tensor: Tensor, buffer: int) -> int:
        shape = self._int32s([int(d) for d in tensor.shape])
        quantization = self._quantization(tensor)
        sparsity = self._empty() if tensor.sparsity else None
        fields: list[tuple[int, str, Any]] = [
            (0, "Offset", shape),
            (1, "Int8", _TYPES[tensor.dtype]),
            (2, "Uint32", buffer if tensor.buffer is None else tensor.buffer),
            (4, "Offset", quantization),
            (6, "Offset", sparsity),
        ]
        if tensor.variable:
            fields.append((5, "Bool", True))
        return self._table(fields, 8)

    def _op(self, op: Op, code: int) -> int:
        options_type, layout = _OPTIONS.get(op.name, (0, {}))
        options = None
        if op.options is not None and options_type:
            defaults = {layout[name][0]: 1 for name in layout if name.startswith("dilation")}
            options = self._table([(*layout[name], value) for name, value in op.options.items()], 8, defaults)
        inputs = self._int32s(op.inputs)
        outputs = self._int32s(op.outputs)
        fields: list[tuple[int, str, Any]] = [(0, "Uint32", code), (1, "Offset", inputs), (2, "Offset", outputs)]
        if options is not None:
            fields += [
                (3, "Uint8", options_type if op.options_type is None else op.options_type),
                (4, "Offset", options),
            ]
        return self._table(fields, 5)

    def _code(self, code: int) -> int:
        graph = self.graph
        custom = self.b.CreateString("Custom") if graph.codes == "custom" else None
        fields: list[tuple[int, str, Any]] = [
            (0, "Int8", None if graph.codes == "new" else code),
            (1, "Offset", custom),
            (2, "Int32", graph.op_version),
            (3, "Int32", None if graph.codes == "old" else code),
        ]
        return self._table(fields, 4, {2: 1})

    def finish(self) -> bytes:
        graph = self.graph
        buffers = [self._table([], 1)]
        numbers = []
        for tensor in graph.tensors:
            numbers.append(len(buffers) if tensor.data is not None else 0)
            if tensor.data is not None:
                raw = np.ascontiguousarray(tensor.data, dtype=np.dtype(tensor.dtype).newbyteorder("<")).tobytes()
                self.b.StartVector(1, len(raw), 16)
                self.b.head -= len(raw)
                self.b.Bytes[self.b.head : self.b.head + len(raw)] = raw
                data: list[tuple[int, str, Any]] = [(0, "Offset", self.b.EndVector())]
                data += [(1, "Uint64", 64), (2, "Uint64", len(raw))] if tensor.outside else []
                buffers.append(self._table(data, 3))
        tensors = [self._tensor(t, n) for t, n in zip(graph.tensors, numbers, strict=True)]
        names = list(dict.fromkeys(op.name for op in graph.ops))
        ops = [self._op(op, names.index(op.name)) for op in graph.ops]
        outputs = [graph.ops[-1].outputs[0] if index == -1 else index for index in graph.outputs]
        subgraph = self._table(
            [
                (0, "Offset", self._offsets(tensors)),
                (1, "Offset", self._int32s(graph.inputs)),
                (2, "Offset", self._int32s(outputs)),
                (3, "Offset", self._offsets(ops)),
            ],
            4,
        )
        codes = [self._code(CODES[name]) for name in names]
        model = self._table(
            [
                (0, "Uint32", graph.version),
                (1, "Offset", self._offsets(codes)),
                (2, "Offset", self._offsets([subgraph] * graph.subgraphs)),
                (4, "Offset", self._offsets(buffers)),
            ],
            5,
        )
        self.b.Finish(model, file_identifier=graph.identifier)
        return bytes(self.b.Output())
