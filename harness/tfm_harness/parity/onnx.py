"""Reference engines for ONNX models, with the usual interface, for models that `onnx_model.pack` has packed.

First oracle: `onnx.reference.ReferenceEvaluator`, from the operators' specification. Second: onnxruntime.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Final, Unpack

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.parity.arrays import Arrays, check_inputs
from tfm_harness.parity.engine_names import ONNX_ENGINES
from tfm_harness.parity.engine_record import EngineOptions
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.model_info import ModelInfo
from tfm_harness.parity.onnx_model import OnnxInfo, describe, formats, pack, unpack

__all__ = ["OnnxEngine", "get_onnx_engine", "onnx_second_oracle"]

_KNOWN: Final = Path(__file__).parent / "selftest" / "onnx.npz"


class OnnxEngine(ReferenceEngine):
    """An evaluator of ONNX models in a subprocess; see `ReferenceEngine`.

    `run` and `tensors` take and give the device's tensors. A model has no state from one vector to the next.

    Raises:
        InfrastructureError: ``engine-missing``, ``engine-refused``, ``engine-start``.
    """

    built_in: ClassVar[tuple[str, ...]] = ONNX_ENGINES
    rounding: ClassVar[float] = 1e-5

    def info(self, model: bytes, name: str = "model") -> OnnxInfo:
        """The facts about a model.

        Raises:
            ConfigError: ``onnx-model``: no ONNX model, a damaged or hostile one, or one that cannot be judged;
                ``onnx-format``: the declared formats do not fit it.
            InfrastructureError: ``engine-refused-model`` and what else `ReferenceEngine.run` raises.
        """
        return _onnx(super().info(model, name))

    def tensors(
        self,
        model: bytes,
        inputs: Sequence[npt.ArrayLike] | npt.ArrayLike,
        indices: Sequence[int],
        *,
        name: str = "model",
        before: Sequence[npt.NDArray[Any]] | None = None,
    ) -> Arrays:
        """Run one vector and return the model's values numbered `indices`, in the model's own form."""
        del before
        info = self.info(model, name)
        head, data = unpack(model)
        names = [info.tensors[index].name for index in indices]
        exposed = pack(data, head["folder"], formats(head["inputs"]), {}, expose=names)
        arrays = [port.to_onnx(a) for port, a in zip(info.ports_in, check_inputs(info, inputs), strict=True)]
        self._load(exposed, info)
        return [value[0] for value in super()._compute(info, arrays, "never")]

    def _parse(self, model: bytes, name: str) -> OnnxInfo:
        return describe(model, self._give(model, name), name)

    def _load(self, model: bytes, info: ModelInfo) -> None:
        self._connect()
        if self._loaded != sha256(model).hexdigest():  # the digest includes the formats, unlike `info.sha256`
            self._give(model, info.name)

    def _compute(self, info: ModelInfo, arrays: Arrays, reset: str) -> Arrays:
        """Compute with the ONNX model's tensors: convert inputs and outputs."""
        ports = _onnx(info).ports_out
        given = [port.to_onnx(array) for port, array in zip(_onnx(info).ports_in, arrays, strict=True)]
        found = super()._compute(info, given, reset)
        self._check_outputs(info, found, [((len(arrays[0]), *port.shape), port.dtype) for port in ports])
        try:
            return [port.to_device(value) for port, value in zip(ports, found, strict=True)]
        except ValueError as error:
            raise InfrastructureError(
                f"reference engine {self.record.name} gives a value for {info.name} that no integer stands for",
                kind="engine-refused-model", seen=str(error), expected="finite outputs",
                hint="compare this model as float32, or keep such inputs away (parity.inputs)",
            ) from error  # fmt: skip

    def _give(self, blob: bytes, name: str) -> dict[str, Any]:
        """Load a packed model into the worker; returns the worker's facts about it."""
        key = sha256(blob).hexdigest()
        self._loaded = ""
        try:
            answer, _ = self._ask({"op": "load", "sha": key}, [np.frombuffer(blob, np.uint8)], name)
        except InfrastructureError as error:
            reason = str(error.seen or "")
            if error.kind != "engine-refused-model" or not reason.startswith("Refused: "):
                raise
            raise ConfigError(
                f"the ONNX model {name} cannot be judged", kind="onnx-model", expected="a whole ONNX model with static"
                " shapes, whose operators are those of the specification", seen=reason.removeprefix("Refused: "),
                where=name,
            ) from error  # fmt: skip
        self._loaded = key
        return answer

    def _prove(self) -> None:
        with np.load(_KNOWN, allow_pickle=False) as stored:
            blob = pack(stored["model"].tobytes(), "", {}, {})
            outputs = self.run(blob, stored["input"], name="self-test onnx")
            expected = [stored["output0"], stored["output1"]]
        for position, (want, got) in enumerate(zip(expected, outputs, strict=True)):
            if want.tobytes() != got.tobytes():
                differing = int(np.count_nonzero(want != got))
                raise InfrastructureError(
                    f"reference engine {self.record} fails its self-test", kind="engine-refused",
                    expected="the stored outputs", where=self.python,
                    seen=f"output {position}: {differing} of {want.size} elements differ",
                    hint="install another version: pip install 'tfm-harness[onnx]'",
                )  # fmt: skip


def _onnx(info: ModelInfo) -> OnnxInfo:
    assert isinstance(info, OnnxInfo)  # noqa: S101 - OnnxEngine parses nothing else
    return info


def get_onnx_engine(name: str = "onnx-reference", **options: Unpack[EngineOptions]) -> OnnxEngine:
    """The specification's evaluator, after its self-test. Raises `InfrastructureError`, see `OnnxEngine`."""
    return OnnxEngine(name, **options)


def onnx_second_oracle(**options: Unpack[EngineOptions]) -> OnnxEngine | None:
    """onnxruntime; None when it is not installed."""
    try:
        return OnnxEngine("onnxruntime", **options)
    except InfrastructureError as error:
        if error.kind != "engine-missing":
            raise
        return None
