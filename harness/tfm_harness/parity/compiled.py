"""Models that Vela has compiled for an Ethos-U: the file's contents, and whether it belongs to its reference. Pure.

No interpreter of this host runs such a model: its operators ``ethos-u`` hold commands for the NPU. The model before
Vela determines the right outputs. Facts: Vela's driver actions (payload ``COP1``: configuration word and architecture
word), the registers CONFIG and ID of the Ethos-U core driver, the model's description and metadata as Vela writes them.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from tfm_harness.errors import ConfigError
from tfm_harness.parity.model_info import ModelInfo, Operator, TensorInfo
from tfm_harness.parity.model_parser import constant_bytes, parse_model, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ETHOS_U", "CompiledModel", "is_compiled", "mismatches", "read_compiled"]

ETHOS_U: Final = "ethos-u"
"""Name of Vela's custom operator."""

_PRODUCTS: Final = {0: "ethos-u55", 1: "ethos-u65", 2: "ethos-u85"}  # CONFIG.product, bits 28 to 31
_MACS: Final = {"ethos-u55": (32, 64, 128, 256), "ethos-u65": (256, 512), "ethos-u85": (128, 256, 512, 1024, 2048)}
_CONFIG: Final = 1  # driver action: the two words that follow name the target of the commands
_VERSION: Final = re.compile(r"Vela (\d{1,3}(?:\.\w{1,12}){0,4}) Optimised")


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """The contents of a compiled model's file.

    Attributes:
        info: its tensors and operators.
        accelerator: ``ethos-u55-256`` and the like; empty when the payload has another form than COP1.
        forms: forms of the payloads, for instance ``COP1``.
        vela: the compiler's version; empty when the file does not hold it (Vela 5's new code generator omits it).
        payloads: for each operator ``ethos-u``: SHA-256 of its constant tensors (commands, weights), in order.
    """

    info: ModelInfo
    accelerator: str
    forms: tuple[str, ...]
    vela: str
    payloads: tuple[tuple[str, ...], ...]

    @property
    def left(self) -> tuple[Operator, ...]:
        """The operators that Vela left to the CPU."""
        return tuple(op for op in self.info.operators if op.name != ETHOS_U)

    def __str__(self) -> str:
        by = f"Vela {self.vela}" if self.vela else "a Vela that does not say its version"
        on = self.accelerator or f"an accelerator that payload {', '.join(self.forms) or 'none'} does not tell"
        return f"compiled by {by} for {on}: {len(self.payloads)} NPU operators, {len(self.left)} left to the CPU"


def is_compiled(info: ModelInfo) -> bool:
    """Whether the model has an operator that only an Ethos-U runs."""
    return any(op.name == ETHOS_U for op in info.operators)


def read_compiled(model: bytes, *, name: str = "model") -> CompiledModel:
    """Read the contents of a compiled model.

    Raises:
        ConfigError: kind ``model-malformed`` and others of `parse_model`; ``model-not-compiled``: no operator for an
            Ethos-U; ``model-malformed``: a payload that is no command stream, or operators for different accelerators.
    """
    import tflite

    info = parse_model(model, name=name)
    if not is_compiled(info):
        raise ConfigError(
            f"model {name} is not compiled for an Ethos-U",
            kind="model-not-compiled",
            expected=f"an operator {ETHOS_U}",
            seen=", ".join(sorted({op.name for op in info.operators}))[:200] or "no operator",
            where=name,
            hint="name the file that Vela made (..._vela.tflite); a model that runs on the CPU alone goes under `file`",
        )
    payloads, forms, accelerators = [], [], []
    with whole(model, name):
        root = tflite.Model.GetRootAs(model, 0)
        for op in info.operators:
            if op.name != ETHOS_U:
                continue
            constants = [constant_bytes(root, index) for index in op.inputs if index >= 0]
            form, accelerator = _payload(constants[0] if constants else b"", f"{name}, {op}")
            forms.append(form)
            accelerators.append(accelerator)
            payloads.append(tuple(sha256(data).hexdigest() for data in constants if data))
        said = root.Description()
        match = _VERSION.fullmatch(said.decode("utf-8", "replace")) if said else None
        version = match[1] if match else _metadata(root, "vela_version")
    if len(set(accelerators)) > 1:
        raise _malformed(name, "operators for one accelerator", ", ".join(sorted(set(accelerators))), name)
    return CompiledModel(info, accelerators[0], tuple(dict.fromkeys(forms)), version, tuple(payloads))


def mismatches(compiled: CompiledModel, reference: ModelInfo, model: bytes, before: bytes) -> Iterator[str]:
    """The reasons why a compiled model cannot have been made of `reference`, in words; none when it can.

    Vela keeps the interface (count, order, shape, type and quantisation of inputs and outputs). Operators that it
    leaves to the CPU are unchanged: both files hold such an operator, with the same constants.

    Args:
        compiled: the contents of `model`.
        reference: the contents of `before`.
        model: bytes of the compiled model.
        before: bytes of the model before Vela.

    Raises:
        ConfigError: kind ``model-malformed``.
    """
    if is_compiled(reference):
        yield f"the reference {reference.name} is compiled for an Ethos-U itself; name the model before Vela"
        return
    for role, ours, theirs in (
        ("input", compiled.info.inputs, reference.inputs),
        ("output", compiled.info.outputs, reference.outputs),
    ):
        if len(ours) != len(theirs):
            yield f"{len(ours)} {role}s, and the reference has {len(theirs)}"
            continue
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            if _interface(one) != _interface(other):
                yield f"{role} {number} is {_words(one)}, and in the reference {_words(other)}"
    with whole(before, reference.name):
        known = Counter(_signature(reference, op, before) for op in reference.operators)
    with whole(model, compiled.info.name):
        left = [(op, _signature(compiled.info, op, model)) for op in compiled.left]
    for op, signature in left:
        if known[signature] <= 0:
            same = any(other.name == op.name for other in reference.operators)
            more = "with these tensors and constants" if same else "at all"
            yield f"{op}, left to the CPU, does not stand in the reference {more}"
        known[signature] -= 1


def _interface(tensor: TensorInfo) -> tuple[object, ...]:
    quant = tensor.quantisation
    return tensor.shape, tensor.dtype, (quant.scales, quant.zero_points) if quant else None


def _words(tensor: TensorInfo) -> str:
    quant = tensor.quantisation
    scale = f", scale {quant.scales[0]:g}, zero point {quant.zero_points[0]}" if quant else ""
    return f"{tensor.dtype} {list(tensor.shape)}{scale}"


def _signature(info: ModelInfo, op: Operator, model: bytes) -> tuple[object, ...]:
    """An operator's name, outputs and constants, without the numbers of tensors."""
    import tflite

    root = tflite.Model.GetRootAs(model, 0)
    outputs = tuple(_interface(info.tensors[index]) for index in op.outputs)
    # (An input that is computed may come from the NPU now; constants must be the same.)
    constants = tuple(
        sha256(constant_bytes(root, i)).hexdigest() for i in op.inputs if i >= 0 and info.tensors[i].constant
    )
    return op.name, outputs, constants


def _metadata(root: Any, wanted: str) -> str:
    for number in range(min(root.MetadataLength(), 64)):
        entry = root.Metadata(number)
        if (entry.Name() or b"").decode("utf-8", "replace") == wanted and entry.Buffer() < root.BuffersLength():
            buffer = root.Buffers(entry.Buffer())
            data = bytes(buffer.DataAsNumpy())[:32] if buffer.DataLength() else b""
            return data.rstrip(b"\0").decode("ascii", "replace")
    return ""


def _payload(data: bytes, where: str) -> tuple[str, str]:
    """Form and accelerator of one operator's commands."""
    if not (data.startswith(b"COP") and len(data) >= 16):
        seen = data[:4].hex(" ") or "no constant tensor"
        raise _malformed(where, "a command stream that begins with COP1 as its first constant tensor", seen, where)
    form = data[:4].decode("ascii", "replace")
    if form != "COP1":
        return form, ""
    action, config = struct.unpack_from("<4xII", data)
    product = _PRODUCTS.get(config >> 28, "")
    macs = 1 << (config & 0xF)
    if action & 0xFF != _CONFIG or macs not in _MACS.get(product, ()):
        raise _malformed(where, "a configuration word of an Ethos-U55, -U65 or -U85", f"{config:#010x}", where)
    return form, f"{product}-{macs}"


def _malformed(name: str, expected: str, seen: str, where: str) -> ConfigError:
    return ConfigError(
        f"compiled model {name} is damaged", kind="model-malformed", expected=expected, seen=seen, where=where,
        hint="compile the model again with Vela",
    )  # fmt: skip
