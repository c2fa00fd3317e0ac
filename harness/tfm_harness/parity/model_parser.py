"""Reads a .tflite file in pure Python, so that a damaged file gives an error and crashes no interpreter."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from tfm_harness.errors import ConfigError
from tfm_harness.parity.foreign_files import what_it_is
from tfm_harness.parity.model_info import ModelInfo, Operator, Quantisation, TensorInfo

__all__ = ["MAX_MODEL_BYTES", "MAX_TENSOR_BYTES", "constant_bytes", "parse_model", "whole"]

MAX_MODEL_BYTES = 256 << 20
"""The most bytes of a file; larger ones are refused before they are parsed, because no Cortex-M runs them."""
MAX_TENSOR_BYTES = 64 << 20
_MAX_SUBGRAPHS = 256
_STATE_OPERATORS = {"VAR_HANDLE", "ASSIGN_VARIABLE", "READ_VARIABLE"}
_DTYPES = {
    "FLOAT32": "float32",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}


def parse_model(model: bytes, *, name: str = "model") -> ModelInfo:
    """Parse a .tflite file.

    A batch dimension declared dynamic (-1 in ``shape_signature[0]``) with a static size is taken at that
    size, as TFLM does; any other dynamic shape of an input or output is refused.

    Raises:
        ConfigError: kind ``model-malformed``, ``model-dynamic-shape``, ``model-unsupported`` or ``model-too-large``.
    """
    if len(model) > MAX_MODEL_BYTES:
        raise ConfigError(
            f"model {name} is too large",
            kind="model-too-large",
            expected=f"at most {MAX_MODEL_BYTES} bytes",
            seen=f"{len(model)} bytes",
        )
    if model[4:8] != b"TFL3":
        raise ConfigError(
            f"model {name} is not a TFLite model",
            kind="model-malformed",
            expected="file identifier TFL3 at byte offset 4",
            seen=model[4:8].hex(" ") if len(model) >= 8 else f"a file of {len(model)} bytes",
            where=f"{name}, byte offset 4",
            hint=what_it_is(model) or "give a .tflite FlatBuffer, not a SavedModel, .h5 or C array",
        )
    with whole(model, name):
        return _Parser(model, name).parse()


@contextlib.contextmanager
def whole(model: bytes, name: str) -> Iterator[None]:
    """Convert exceptions of the FlatBuffers runtime in this block into an error about the file.

    Raises:
        ConfigError: kind ``model-malformed``.
    """
    try:
        yield
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, UnicodeDecodeError, MemoryError) as exc:
        # The exceptions of the FlatBuffers runtime when an offset is outside of the buffer.
        raise ConfigError(
            f"model {name} is damaged: its FlatBuffer cannot be read",
            kind="model-malformed",
            seen=f"{type(exc).__name__}: {exc}",
            where=f"{name} ({len(model)} bytes)",
            hint="compare the file's SHA-256 with the one it was made with; it may be cut short",
        ) from exc


def constant_bytes(root: Any, index: int) -> bytes:
    """Bytes of a constant tensor of the first subgraph; empty for others. Call it inside of `whole`."""
    number = root.Subgraphs(0).Tensors(index).Buffer()
    if not 0 <= number < root.BuffersLength():
        return b""
    buffer = root.Buffers(number)
    return bytes(buffer.DataAsNumpy()) if buffer.DataLength() else b""


class _Parser:
    """Reads the FlatBuffer; `parse_model` catches the exceptions that any raw read may raise."""

    def __init__(self, model: bytes, name: str) -> None:
        import tflite

        self.tflite = tflite
        self.data = model
        self.name = name
        self.root = tflite.Model.GetRootAs(model, 0)
        self.notes: list[str] = []
        self.types = {v: k for k, v in vars(tflite.TensorType).items() if not k.startswith("_")}

    def parse(self) -> ModelInfo:
        if self.root.SubgraphsLength() < 1:
            raise self._unsupported("no subgraph", "at least one subgraph")
        if self.root.SubgraphsLength() > 1:
            self.notes.append(f"{self.root.SubgraphsLength()} subgraphs; described here: the first")
        graph = self.root.Subgraphs(0)
        # Every table entry takes at least four bytes: larger counts are damage, refused before any loop.
        for count in (graph.TensorsLength(), graph.OperatorsLength(), graph.InputsLength(), graph.OutputsLength()):
            if count * 4 > len(self.data):
                raise ValueError(f"a table of {count} entries in a file of {len(self.data)} bytes")
        tensors = tuple(self._tensor(graph.Tensors(i), i) for i in range(graph.TensorsLength()))
        inputs = tuple(tensors[self._ref(graph.Inputs(i), tensors)] for i in range(graph.InputsLength()))
        outputs = tuple(tensors[self._ref(graph.Outputs(i), tensors)] for i in range(graph.OutputsLength()))
        if not inputs or not outputs:
            raise self._unsupported(f"{len(inputs)} inputs, {len(outputs)} outputs", "at least one of each")
        for role, group, refs in (("input", inputs, graph.Inputs), ("output", outputs, graph.Outputs)):
            for number, tensor in enumerate(group):
                self._refuse_dynamic(role, number, tensor, graph.Tensors(refs(number)))
        operators = tuple(self._operator(graph.Operators(i), i, len(tensors)) for i in range(graph.OperatorsLength()))
        return ModelInfo(
            name=self.name,
            sha256=sha256(self.data).hexdigest(),
            size=len(self.data),
            inputs=inputs,
            outputs=outputs,
            tensors=tensors,
            operators=operators,
            notes=tuple(self.notes),
            state=self._state(tensors),
            signatures=self._signatures(),
        )

    def _signatures(self) -> tuple[tuple[str, int], ...]:
        count = self.root.SignatureDefsLength()
        if count > _MAX_SUBGRAPHS:
            raise ValueError(f"{count} signatures")
        found = []
        for number in range(count):
            entry = self.root.SignatureDefs(number)
            if not 0 <= entry.SubgraphIndex() < self.root.SubgraphsLength():
                raise IndexError(f"signature {number} of subgraph {entry.SubgraphIndex()}")
            found.append(((entry.SignatureKey() or b"").decode("utf-8", "replace"), int(entry.SubgraphIndex())))
        return tuple(found)

    def _state(self, tensors: tuple[TensorInfo, ...]) -> tuple[str, ...]:
        """Variable tensors (schema: Tensor.is_variable) and resource variables of any subgraph."""
        found = [f"variable tensor {t.name}" for t in tensors if t.variable]
        codes = [self.root.OperatorCodes(i) for i in range(self.root.OperatorCodesLength())]
        names = {self._op_name(max(code.BuiltinCode(), code.DeprecatedBuiltinCode())) for code in codes}
        found += [f"operator {name}" for name in sorted(names & _STATE_OPERATORS)]
        for number in range(1, min(self.root.SubgraphsLength(), _MAX_SUBGRAPHS)):
            graph = self.root.Subgraphs(number)
            if graph.TensorsLength() * 4 > len(self.data):
                raise ValueError(f"subgraph {number} with {graph.TensorsLength()} tensors")
            if any(graph.Tensors(i).IsVariable() for i in range(graph.TensorsLength())):
                found.append(f"variable tensors of subgraph {number}")
        return tuple(found)

    @staticmethod
    def _ref(index: int, tensors: tuple[TensorInfo, ...]) -> int:
        if not 0 <= index < len(tensors):
            raise IndexError(f"tensor {index} of {len(tensors)}")
        return int(index)

    def _tensor(self, raw: Any, index: int) -> TensorInfo:
        shape = tuple(int(raw.Shape(i)) for i in range(self._rank(raw.ShapeLength())))
        quant = raw.Quantization()
        quantisation = None
        if quant is not None and quant.ScaleLength() > 0:
            if max(quant.ScaleLength(), quant.ZeroPointLength()) * 4 > len(self.data):
                raise ValueError("more scales than the file can hold")
            scales = tuple(float(quant.Scale(i)) for i in range(quant.ScaleLength()))
            zeros = tuple(int(quant.ZeroPoint(i)) for i in range(quant.ZeroPointLength())) or (0,) * len(scales)
            quantisation = Quantisation(scales, zeros, int(quant.QuantizedDimension()))
        name = raw.Name()
        kind = self.types.get(raw.Type(), f"number {raw.Type()}")
        buffer = self.root.Buffers(raw.Buffer()) if 0 <= raw.Buffer() < self.root.BuffersLength() else None
        return TensorInfo(
            index=index,
            name=name.decode("utf-8") if name else f"tensor{index}",
            shape=shape,
            dtype=_DTYPES.get(kind, kind.lower()),
            quantisation=quantisation,
            constant=bool(buffer is not None and buffer.DataLength() > 0),
            variable=bool(raw.IsVariable()),
        )

    @staticmethod
    def _rank(length: int) -> int:
        if length > 16:
            raise ValueError(f"a tensor of rank {length}")
        return length

    def _operator(self, raw: Any, index: int, tensors: int) -> Operator:
        opcode = self.root.OperatorCodes(raw.OpcodeIndex())
        # The 8-bit field came first; files may use either, the larger one counts (TFLite schema_utils).
        code = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())
        custom = opcode.CustomCode()
        name = custom.decode("utf-8", "replace") if custom else self._op_name(code)
        for length in (raw.InputsLength(), raw.OutputsLength()):
            if length * 4 > len(self.data):
                raise ValueError(f"operator {index} with {length} tensors")
        inputs = tuple(int(raw.Inputs(i)) for i in range(raw.InputsLength()))
        outputs = tuple(int(raw.Outputs(i)) for i in range(raw.OutputsLength()))
        if any(not -1 <= t < tensors for t in inputs) or any(not 0 <= t < tensors for t in outputs):
            raise IndexError(f"operator {index} names a tensor outside 0..{tensors - 1}")
        return Operator(index, name, int(code), inputs, outputs)

    def _op_name(self, code: int) -> str:
        names = {v: k for k, v in vars(self.tflite.BuiltinOperator).items() if not k.startswith("_")}
        return str(names.get(code, f"BUILTIN_{code}"))

    def _refuse_dynamic(self, role: str, number: int, tensor: TensorInfo, raw: Any) -> None:
        signature = tuple(int(raw.ShapeSignature(i)) for i in range(self._rank(raw.ShapeSignatureLength())))
        static = all(extent > 0 for extent in tensor.shape)
        dynamic = [axis for axis, extent in enumerate(signature) if extent < 0]
        if not static or any(axis != 0 for axis in dynamic):
            raise ConfigError(
                f"model {self.name}: {role} {number} ({tensor.name}) has a dynamic shape",
                kind="model-dynamic-shape",
                expected="a static shape: TFLM plans its arena before the first inference",
                seen=f"shape {list(tensor.shape)}, signature {list(signature)}",
                where=f"{self.name}, tensor {tensor.index}",
                hint="convert the model again with a fixed input shape",
            )
        if dynamic:
            self.notes.append(f"{role} {number}: dynamic batch dimension taken as {tensor.shape[0]}")
        if tensor.dtype not in _DTYPES.values():
            raise self._unsupported(f"{role} {number} of type {tensor.dtype}", ", ".join(sorted(_DTYPES.values())))
        if tensor.nbytes > MAX_TENSOR_BYTES:
            raise self._unsupported(
                f"{role} {number} of {tensor.nbytes} bytes", f"at most {MAX_TENSOR_BYTES} bytes for one tensor"
            )

    def _unsupported(self, seen: str, expected: str) -> ConfigError:
        return ConfigError(
            f"model {self.name} cannot be compared",
            kind="model-unsupported",
            expected=expected,
            seen=seen,
            where=self.name,
        )
