"""The contents of a .tflite file: tensors, quantisation, operators.

Parsing is pure Python over the FlatBuffer (package ``tflite``: the TFLite schema), so a
malformed file costs an error, not a crashed interpreter. Facts follow the TFLite schema v3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ModelInfo", "Operator", "Quantisation", "TensorInfo"]


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
        """The number of values in the tensor."""
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
        state: the parts that keep values between inferences (variable tensors, resource variables), in words.
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
        """The number of different subgraphs that "the model" may mean."""
        return len({number for _, number in self.signatures}) or 1

    @property
    def stateful(self) -> bool:
        """Whether an inference's output may depend on the inferences before it."""
        return bool(self.state)

    @property
    def has_resources(self) -> bool:
        """Whether the model has state in resource variables, which are reset only by loading the model again."""
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
        """Inputs of n inferences in the form of the wire: for each inference its tensors back to back, little endian.

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
