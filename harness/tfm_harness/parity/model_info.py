"""What a .tflite file says about itself: tensors, quantisation, operators.

Parsing is pure Python over the FlatBuffer (package ``tflite``: the TFLite schema), so a
malformed file costs an error, not a crashed interpreter. Facts follow the TFLite schema v3.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from tfm_harness.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ModelInfo", "Operator", "Quantisation", "TensorInfo", "expose_tensors", "parse_model", "select_signature"]

MAX_MODEL_BYTES = 256 << 20
"""Larger files are refused before they are parsed: no Cortex-M runs them."""

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


@dataclass(frozen=True, slots=True)
class Quantisation:
    """Affine quantisation of a tensor: real = scale * (q - zero_point).

    Attributes:
        scales, zero_points: one of each, or one for each slice along `dimension`.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    dimension: int = 0

    @property
    def per_tensor(self) -> bool:
        """Whether one scale serves the whole tensor."""
        return len(self.scales) == 1


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor. `dtype` is numpy's name; `index` is the tensor's number in its subgraph."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantisation: Quantisation | None
    constant: bool = False
    variable: bool = False

    @property
    def elements(self) -> int:
        """How many values the tensor holds."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        import numpy as np

        return self.elements * int(np.dtype(self.dtype).itemsize)


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator in execution order.

    Attributes:
        name: the schema's name (``FULLY_CONNECTED``) or the custom op's name.
        code: the TFLite builtin operator code (BuiltinOperator in the schema).
        inputs, outputs: tensor indices; -1 stands for an optional input that is absent.
    """

    index: int
    name: str
    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def __str__(self) -> str:
        return f"op {self.index} {self.name}"


@dataclass(frozen=True)
class ModelInfo:
    """A parsed model (its first subgraph, which is the one TFLM runs).

    Attributes:
        sha256: digest of the file's bytes, lower-case hex; the model id of signed results.
        notes: facts a reader should know, for instance a dynamic batch dimension that was fixed.
        signatures: keys of the entry points (SignatureDef), each with the number of its subgraph.
        state: what keeps values from one inference to the next (variable tensors, resource variables), in words.
    """

    name: str
    sha256: str
    size: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    tensors: tuple[TensorInfo, ...]
    operators: tuple[Operator, ...]
    notes: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    signatures: tuple[tuple[str, int], ...] = ()

    @property
    def entries(self) -> int:
        """How many different subgraphs may be meant by "the model"."""
        return len({number for _, number in self.signatures}) or 1

    @property
    def stateful(self) -> bool:
        """Whether an inference's output may depend on the inferences before it."""
        return bool(self.state)

    @property
    def has_resources(self) -> bool:
        """Whether state lives in resource variables, which only loading the model anew resets."""
        return any(words.startswith("operator") for words in self.state)

    @cached_property
    def input_bytes(self) -> int:
        """Bytes of all inputs of one inference, back to back."""
        return sum(tensor.nbytes for tensor in self.inputs)

    @cached_property
    def output_bytes(self) -> int:
        """Bytes of all outputs of one inference, back to back."""
        return sum(tensor.nbytes for tensor in self.outputs)

    def producer(self, tensor: int) -> Operator | None:
        """The operator that writes tensor number `tensor`, None for inputs and constants."""
        return next((op for op in self.operators if tensor in op.outputs), None)

    def pack_inputs(self, arrays: list[np.ndarray[Any, Any]]) -> bytes:
        """Inputs of n inferences as the wire wants them: for each inference its tensors back to back, little endian.

        Args:
            arrays: one array for each input, shape (n, *tensor.shape).
        """
        import numpy as np

        count = len(arrays[0])
        flat = [
            np.ascontiguousarray(a, dtype=np.dtype(t.dtype).newbyteorder("<")).reshape(count, -1).view(np.uint8)
            for a, t in zip(arrays, self.inputs, strict=True)
        ]
        return bytes(np.concatenate(flat, axis=1).tobytes())

    def unpack_outputs(self, data: bytes, count: int) -> list[np.ndarray[Any, Any]]:
        """Outputs of `count` inferences from the wire's bytes: one array (count, *shape) for each output.

        Raises:
            ValueError: the length is not `count` times `output_bytes`.
        """
        import numpy as np

        if len(data) != count * self.output_bytes:
            raise ValueError(f"{len(data)} bytes of output, expected {count} x {self.output_bytes}")
        rows = np.frombuffer(data, dtype=np.uint8).reshape(count, self.output_bytes)
        outputs, at = [], 0
        for tensor in self.outputs:
            part = np.ascontiguousarray(rows[:, at : at + tensor.nbytes])
            outputs.append(part.view(np.dtype(tensor.dtype).newbyteorder("<")).reshape(count, *tensor.shape))
            at += tensor.nbytes
        return outputs


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
    """Whatever the FlatBuffers runtime raises inside becomes an error about the file.

    Raises:
        ConfigError: kind ``model-malformed``.
    """
    try:
        yield
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, UnicodeDecodeError, MemoryError) as exc:
        # What the FlatBuffers runtime raises when an offset leaves the buffer.
        raise ConfigError(
            f"model {name} is damaged: its FlatBuffer cannot be read",
            kind="model-malformed",
            seen=f"{type(exc).__name__}: {exc}",
            where=f"{name} ({len(model)} bytes)",
            hint="compare the file's SHA-256 with the one it was made with; it may be cut short",
        ) from exc


def constant_bytes(root: Any, index: int) -> bytes:
    """Bytes of a constant tensor of the first subgraph; empty for others. Inside of `whole`."""
    number = root.Subgraphs(0).Tensors(index).Buffer()
    if not 0 <= number < root.BuffersLength():
        return b""
    buffer = root.Buffers(number)
    return bytes(buffer.DataAsNumpy()) if buffer.DataLength() else b""


_UNPACK: Final = "unpack it"
_CONVERT: Final = "convert it to .tflite"
_OTHER_FILES: Final = (
    (0, b"PK\x03\x04", f"a zip archive (a .keras file?): unpack it or {_CONVERT}"),
    (0, b"\x89HDF", f"an HDF5 file (.h5): {_CONVERT}"),
    (0, b"\x7fELF", "an ELF file: give the model that was built into it"),
    (0, b"\x1f\x8b", f"compressed with gzip: {_UNPACK}"),
    (0, b"BZh", f"compressed with bzip2: {_UNPACK}"),
    (0, b"\xfd7zXZ", f"compressed with xz: {_UNPACK}"),
    (0, b"\x28\xb5\x2f\xfd", f"compressed with zstd: {_UNPACK}"),
    (257, b"ustar", f"a tar archive: {_UNPACK}"),
    (0, b"GGUF", f"a GGUF model: {_CONVERT}"),
    (8, b'{"', f"a safetensors file: {_CONVERT}"),
    (0, b"\x93NUMPY", "a NumPy array: give the model, not its weights or inputs"),
    (0, b"\x3d\xb8\xf3\x96", "a signed MCUboot image: give the model inside, as it was before imgtool"),
    (4, b"ET12", f"an ExecuTorch program (.pte): {_CONVERT}"),
    (4, b"TOSA", f"a TOSA FlatBuffer: {_CONVERT}"),
    (4, b"CIR0", f"a Circle model: {_CONVERT}"),
    (8, b"TFL3", "a TFLite model with its size in front: leave out the first four bytes"),
)
"""Where a mark stands, the mark, and what the file is with what to do."""


def what_it_is(data: bytes) -> str:
    """What a file that is no model is instead, and what to do; empty when it is not known."""
    from tfm_harness.encodings import plain_text
    from tfm_harness.verify.forms import name_of_text

    text = plain_text(data[:4096])
    if text is not None:
        return f"the file is {name_of_text(text)}"
    return next((f"the file is {name}" for at, mark, name in _OTHER_FILES if data.startswith(mark, at)), "")


def expose_tensors(model: bytes, indices: Sequence[int]) -> bytes:
    """The same model with tensors `indices` of its first subgraph as its outputs.

    Interpreters may compute in place (TFLite's ADD overwrites its input even when asked to preserve all
    tensors); what is an output of the graph is never overwritten. The file keeps all its bytes: a new vector
    is appended and SubGraph.outputs points to it (FlatBuffers: an offset counts from its own place, forward).

    Raises:
        ConfigError: kind ``model-malformed``, as `parse_model`.
        IndexError: a tensor the model does not have.
    """
    import tflite

    info = parse_model(model)
    if any(not 0 <= index < len(info.tensors) for index in indices):
        raise IndexError(f"tensors {list(indices)} of {len(info.tensors)}")
    table = tflite.Model.GetRootAs(model, 0).Subgraphs(0)._tab  # noqa: SLF001 - generated code has no other way
    place = table.Pos + table.Offset(8)  # SubGraph: tensors 4, inputs 6, outputs 8
    changed = bytearray(model) + bytes(-len(model) % 4)
    struct.pack_into("<I", changed, place, len(changed) - place)
    return bytes(changed) + struct.pack(f"<I{len(indices)}i", len(indices), *indices)


def select_signature(model: bytes, key: str, *, name: str = "model") -> bytes:
    """The same model with the subgraph of a signature as its first one, which interpreters run.

    The file keeps all its bytes but one offset: the first entry of Model.subgraphs points to that subgraph, too (so
    that numbers in control flow operators keep their meaning; none of them may name the subgraph that was first). The
    list of signatures is made empty, because interpreters hold them to the subgraph that was first.

    Raises:
        ConfigError: kind ``model-signature``: the model has no such signature; ``model-malformed``, as `parse_model`.
    """
    import tflite

    found = dict(parse_model(model, name=name).signatures)
    if key not in found:
        raise ConfigError(
            f"model {name} has no signature {key!r}", kind="model-signature", where=name,
            expected=f"one of {', '.join(found)}" if found else "a model with signatures", seen=key,
        )  # fmt: skip
    with whole(model, name):
        table = tflite.Model.GetRootAs(model, 0)._tab  # noqa: SLF001 - generated code has no other way
        vector, changed = table.Vector(table.Offset(8)), bytearray(model)  # Model: version 4, codes 6, subgraphs 8
        there = table.Indirect(vector + 4 * found[key])
        if there < vector:
            raise ValueError("a subgraph that lies before the list of subgraphs")
        struct.pack_into("<I", changed, vector, there - vector)
        struct.pack_into("<I", changed, table.Vector(table.Offset(18)) - 4, 0)  # the vector's length
    return bytes(changed)


class _Parser:
    """Reads the FlatBuffer; every raw read may raise what `parse_model` catches."""

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
