"""An ONNX model as the reference of a device that has other tensors: formats of both, and the conversion. Pure.

A device computes with its compiler's tensors: int8 for float32, channels last for channels first. The build declares
them; values are converted here, in single precision, by the rules of QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError
from tfm_harness.parity.model_info import ModelInfo, Operator, Quantisation, TensorInfo
from tfm_harness.parity.quantise import QuantisationRule, quantise

__all__ = ["OnnxInfo", "Port", "TensorFormat", "describe", "formats", "formats_of", "pack", "pack_again", "unpack"]

Array = npt.NDArray[Any]

_CARRIES: Final = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast",
                             "QuantizeLinear", "DequantizeLinear"})  # fmt: skip
"""Operators that compute no new numbers: an output has the operator class of the operator before them."""

_REAL: Final = ("float16", "float32", "float64")
_COMPARED: Final = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")


@dataclass(frozen=True, slots=True)
class TensorFormat:
    """A tensor of the device.

    Attributes:
        dtype: NumPy's name; empty: the ONNX tensor's type, float32 for any float.
        scale, zero_point: quantisation of integers that represent the ONNX model's floats.
        shape: the ONNX tensor's static shape, if the model leaves it open; empty: the model's.
        permute: the device's axes, each by its number in the ONNX tensor; (0, 2, 3, 1): channels last; empty: the same.
        rule: the rule by which the device rounds its outputs.
    """

    dtype: str = ""
    scale: float | None = None
    zero_point: int = 0
    shape: tuple[int, ...] = ()
    permute: tuple[int, ...] = ()
    rule: str = "round-even"


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output on both sides."""

    tensor: TensorInfo
    shape: tuple[int, ...]
    dtype: str
    format: TensorFormat

    def to_onnx(self, values: Array) -> Array:
        """Convert the device's array (n, *shape) into the ONNX model's."""
        axes = self.format.permute
        if axes:
            values = values.transpose(0, *(1 + axes.index(axis) for axis in range(len(axes))))
        if self.format.scale is not None:
            shifted = values.astype(np.int64) - self.format.zero_point
            values = shifted.astype(np.float32) * np.float32(self.format.scale)
        return np.ascontiguousarray(values.reshape(len(values), *self.shape), dtype=self.dtype)

    def to_device(self, values: Array) -> Array:
        """Convert the ONNX model's array (n, *shape) into the device's.

        Raises:
            ValueError: NaN or infinity, which no integer represents.
        """
        if self.format.permute:
            values = values.transpose(0, *(1 + axis for axis in self.format.permute))
        if self.format.scale is not None:
            if not np.isfinite(values).all():
                raise ValueError(f"{self.tensor.name} is not finite")
            return quantise(values, self.tensor, QuantisationRule(self.format.rule))
        return np.ascontiguousarray(values, dtype=self.tensor.dtype)


@dataclass(frozen=True)
class OnnxInfo(ModelInfo):
    """The facts about an ONNX model. `inputs` and `outputs` are the device's; `tensors` are the model's values.

    Attributes:
        ports_in, ports_out: both sides of each input and output.
    """

    ports_in: tuple[Port, ...] = ()
    ports_out: tuple[Port, ...] = ()
    opset: Mapping[str, int] = field(default_factory=dict)


def pack(
    data: bytes, folder: str, inputs: Mapping[str, TensorFormat], outputs: Mapping[str, TensorFormat],
    expose: Sequence[str] = (),
) -> bytes:  # fmt: skip
    """Pack a model for the engines: one line of JSON and the file's bytes."""

    def said(formats: Mapping[str, TensorFormat]) -> dict[str, Any]:
        names = ("dtype", "scale", "zero_point", "shape", "permute", "rule")
        return {key: {name: getattr(each, name) for name in names} for key, each in formats.items()}

    head = {
        "folder": folder, "inputs": said(inputs), "outputs": said(outputs), "expose": list(expose),
        "shapes": {name: list(each.shape) for name, each in inputs.items() if each.shape},
    }  # fmt: skip
    return json.dumps(head, sort_keys=True).encode() + b"\n" + data


def unpack(blob: bytes) -> tuple[dict[str, Any], bytes]:
    """The line of JSON, and the file's bytes."""
    head, _, data = blob.partition(b"\n")
    return dict(json.loads(head)), data


def formats_of(blob: bytes) -> str:
    """The formats of a packed model as JSON, without the folder, for a replay file."""
    head = unpack(blob)[0]
    return json.dumps({key: head[key] for key in ("inputs", "outputs")}, sort_keys=True)


def pack_again(data: bytes, folder: str, said: str) -> bytes:
    """Pack a model file with formats from `formats_of`.

    Raises:
        ValueError: the formats have another form.
    """
    try:
        head = json.loads(said)
        return pack(data, folder, formats(head["inputs"]), formats(head["outputs"]))
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"{type(exc).__name__}: {exc}") from exc


def formats(said: Mapping[str, Mapping[str, Any]]) -> dict[str, TensorFormat]:
    """The formats in the line of JSON."""
    return {
        name: TensorFormat(**{**each, "shape": tuple(each["shape"]), "permute": tuple(each["permute"])})
        for name, each in said.items()
    }


def describe(blob: bytes, answer: Mapping[str, Any], name: str) -> OnnxInfo:
    """The facts about a model, from the answer of the engine's process.

    Args:
        blob: as `pack` made it.
        answer: inputs and outputs with shape and type, and ``about`` with names and operators.
        name: the model's name in errors.

    Raises:
        ConfigError: kind ``onnx-format``: a declared format that does not fit the model.
    """
    head, data = unpack(blob)
    about = answer["about"]
    names: dict[str, int] = {}
    for value in (*about["inputs"], *about["constants"], *(v for _, i, o in about["nodes"] for v in (*i, *o))):
        names.setdefault(value, len(names))
    made = {value: (op, inputs) for op, inputs, outputs in about["nodes"] for value in outputs}
    ports = {
        role: _ports(role, about[role], answer[role], formats(head[role]), names, name)
        for role in ("inputs", "outputs")
    }
    constants = set(about["constants"])
    external = str(about.get("external", ""))
    return OnnxInfo(
        name=name,
        sha256=sha256(data + bytes.fromhex(external)).hexdigest(),
        size=len(data),
        inputs=tuple(port.tensor for port in ports["inputs"]),
        outputs=tuple(_of_operator(port.tensor, made, names) for port in ports["outputs"]),
        tensors=tuple(TensorInfo(i, value, (), "float32", None, value in constants) for value, i in names.items()),
        operators=tuple(
            Operator(number, op, 0, tuple(names[v] if v else -1 for v in i), tuple(names[v] for v in o if v))
            for number, (op, i, o) in enumerate(about["nodes"])
        ),
        ports_in=ports["inputs"],
        ports_out=ports["outputs"],
        opset=about["opset"],
    )


def _ports(
    role: str, order: Sequence[str], found: Sequence[Mapping[str, Any]], said: Mapping[str, TensorFormat],
    names: Mapping[str, int], model: str,
) -> tuple[Port, ...]:  # fmt: skip
    unknown = [name for name in said if name not in order]
    if unknown:
        raise _misfit(model, f"reference.{role} speaks of {unknown[0]!r}", f"one of {', '.join(order)}")
    return tuple(
        _port(name, tuple(each["shape"]), each["dtype"], said.get(name, TensorFormat()), names.get(name, -1), model)
        for name, each in zip(order, found, strict=True)
    )


def _port(name: str, shape: tuple[int, ...], dtype: str, said: TensorFormat, index: int, model: str) -> Port:
    real = dtype in _REAL
    wanted = said.dtype or ("float32" if real else dtype)
    if wanted not in _COMPARED:
        raise _misfit(model, f"{name} is {wanted} on the device", ", ".join(_COMPARED))
    if real and wanted != "float32" and said.scale is None:
        raise _misfit(model, f"{name} is {wanted} on the device, and {dtype} in the model", "its `scale`")
    if said.scale is not None and (not real or wanted == "float32"):
        raise _misfit(model, f"{name} has a scale, and is {wanted} on the device and {dtype} in the model",
                      "a scale for integers that stand for floats")  # fmt: skip
    if not real and wanted != dtype:
        raise _misfit(model, f"{name} is {wanted} on the device, and {dtype} in the model", dtype)
    if said.permute and sorted(said.permute) != list(range(len(shape))):
        raise _misfit(model, f"{name} permutes {list(said.permute)}", f"the numbers of {len(shape)} axes, each once")
    if said.shape and said.shape != shape:
        raise _misfit(model, f"{name} has the shape {list(said.shape)}", str(list(shape)))
    outside = tuple(shape[axis] for axis in said.permute) if said.permute else shape
    quantisation = Quantisation((said.scale,), (said.zero_point,)) if said.scale is not None else None
    return Port(TensorInfo(index, name, outside, wanted, quantisation), shape, dtype, said)


def _of_operator(
    tensor: TensorInfo, made: Mapping[str, tuple[str, Sequence[str]]], names: Mapping[str, int]
) -> TensorInfo:
    """The output, with the number of the value that an operator computed, and not of a copy of it."""
    name = tensor.name
    for _ in range(len(made)):
        op, inputs = made.get(name, ("", ()))
        if op not in _CARRIES or not inputs or inputs[0] not in made:
            break
        name = inputs[0]
    return TensorInfo(names.get(name, tensor.index), tensor.name, tensor.shape, tensor.dtype, tensor.quantisation)


def _misfit(model: str, seen: str, expected: str) -> ConfigError:
    return ConfigError(
        f"the device's tensors do not fit the ONNX model {model}", kind="onnx-format", expected=expected, seen=seen,
        hint="mend `reference.inputs` and `reference.outputs` of the model in the build",
    )  # fmt: skip
