"""ONNX models as truth: engines with the interface of the others, for what `tfm_harness.parity.onnx_model.pack` makes.

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
from tfm_harness.parity.engines import ONNX_ENGINES, EngineOptions, ReferenceEngine, State
from tfm_harness.parity.model_info import ModelInfo
from tfm_harness.parity.onnx_model import OnnxInfo, describe, formats, pack, unpack

__all__ = ["OnnxEngine", "get_onnx_engine", "onnx_second_oracle"]

_KNOWN: Final = Path(__file__).parent / "selftest" / "onnx.npz"
_VECTORS_AT_A_TIME: Final = 64


class OnnxEngine(ReferenceEngine):
    """An evaluator of ONNX models in a subprocess; see `ReferenceEngine`.

    `run` and `tensors` take and give the device's tensors. A model has no state from one vector to the next.

    Raises:
        InfrastructureError: ``engine-missing``, ``engine-refused``, ``engine-start``.
    """

    built_in: ClassVar[tuple[str, ...]] = ONNX_ENGINES
    rounding: ClassVar[float] = 1e-5

    def info(self, model: bytes, name: str = "model") -> OnnxInfo:
        """What is known of a model.

        Raises:
            ConfigError: ``onnx-model``: no ONNX model, a damaged or hostile one, or one that cannot be judged;
                ``onnx-format``: the declared formats do not fit it.
            InfrastructureError: ``engine-refused-model`` and what else `ReferenceEngine.run` raises.
        """
        key = sha256(model).hexdigest()
        if key not in self._infos:
            if len(self._infos) >= 64:
                self._infos.pop(next(iter(self._infos)))
            self._infos[key] = describe(model, self._load_blob(model, key, name), name)
        found = self._infos[key]
        assert isinstance(found, OnnxInfo)  # noqa: S101 - nothing else is kept here
        return found

    def run(
        self,
        model: bytes,
        inputs: Sequence[npt.ArrayLike] | npt.ArrayLike,
        *,
        name: str = "model",
        state: State | None = None,
        fresh: bool = True,
    ) -> Arrays:
        """See `ReferenceEngine.run`."""
        del state, fresh
        info = self.info(model, name)
        arrays = check_inputs(info, inputs)
        parts: list[Arrays] = []
        for at in range(0, len(arrays[0]), _VECTORS_AT_A_TIME):
            given = [
                port.to_onnx(a[at : at + _VECTORS_AT_A_TIME]) for port, a in zip(info.ports_in, arrays, strict=True)
            ]
            found = self._values(model, given, name)
            expected = [((len(given[0]), *port.shape), port.dtype) for port in info.ports_out]
            if [(value.shape, value.dtype.name) for value in found] != expected:
                raise InfrastructureError(
                    f"reference engine {self.name} gave outputs of another form for {name}", kind="engine-protocol",
                    expected=str(expected), seen=str([(value.shape, value.dtype.name) for value in found]),
                )  # fmt: skip
            try:
                parts.append([port.to_device(value) for port, value in zip(info.ports_out, found, strict=True)])
            except ValueError as error:
                raise InfrastructureError(
                    f"reference engine {self.record.name} gives a value for {name} that no integer stands for",
                    kind="engine-refused-model", seen=str(error), expected="finite outputs",
                    hint="compare this model as float32, or keep such inputs away (parity.inputs)",
                ) from error  # fmt: skip
        if not parts:
            return [np.empty((0, *t.shape), dtype=t.dtype) for t in info.outputs]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def tensors(
        self,
        model: bytes,
        inputs: Sequence[npt.ArrayLike] | npt.ArrayLike,
        indices: Sequence[int],
        *,
        name: str = "model",
        before: Sequence[npt.NDArray[Any]] | None = None,
    ) -> Arrays:
        """Run one vector and return the model's values numbered `indices`, as the model has them."""
        del before
        info = self.info(model, name)
        head, data = unpack(model)
        names = [info.tensors[index].name for index in indices]
        exposed = pack(data, head["folder"], formats(head["inputs"]), {}, expose=names)
        arrays = [port.to_onnx(a) for port, a in zip(info.ports_in, check_inputs(info, inputs), strict=True)]
        return [value[0] for value in self._values(exposed, arrays, name)]

    def _values(self, blob: bytes, arrays: Arrays, name: str) -> Arrays:
        key = sha256(blob).hexdigest()
        if self._worker is None or self._loaded != key:
            self._load_blob(blob, key, name)
        return self._ask({"op": "run", "sha": key}, arrays, name)[1]

    def _load_blob(self, blob: bytes, key: str, name: str) -> dict[str, Any]:
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

    def _load(self, model: bytes, info: ModelInfo) -> None:
        raise NotImplementedError  # `run` and `tensors` load by themselves

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


def get_onnx_engine(name: str = "onnx-reference", **options: Unpack[EngineOptions]) -> OnnxEngine:
    """The specification's evaluator, proved. Raises `InfrastructureError`, see `OnnxEngine`."""
    return OnnxEngine(name, **options)


def onnx_second_oracle(**options: Unpack[EngineOptions]) -> OnnxEngine | None:
    """onnxruntime; None where it is not installed."""
    try:
        return OnnxEngine("onnxruntime", **options)
    except InfrastructureError as error:
        if error.kind != "engine-missing":
            raise
        return None
