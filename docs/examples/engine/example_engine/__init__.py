"""A reference engine of its own: here TensorFlow Lite's interpreter with its reference kernels, under another name.

It runs in a process of its own and imports nothing of the harness. Whatever it is, it must give the stored answers of
the harness's self-test bit for bit before it judges anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy.typing as npt


class Engine:
    """See `tfm_harness.parity.EngineAdapter`."""

    partial: ClassVar[bool] = False

    def __init__(self) -> None:
        try:
            import tflite_runtime as package
            from tflite_runtime import interpreter as api
        except ImportError:
            import ai_edge_litert as package
            from ai_edge_litert import interpreter as api
        self._api = api
        self.record: Mapping[str, str] = {"version": package.__version__, "resolver": "BUILTIN_REF"}

    def load(self, model: bytes) -> Any:
        resolver = self._api.OpResolverType.BUILTIN_REF
        made = self._api.Interpreter(model_content=model, experimental_op_resolver_type=resolver, num_threads=1)
        made.allocate_tensors()
        return made

    def details(self, loaded: Any) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        return loaded.get_input_details(), loaded.get_output_details()

    def invoke(self, loaded: Any, inputs: Sequence[tuple[Mapping[str, Any], npt.NDArray[Any]]]) -> None:
        for detail, value in inputs:
            loaded.set_tensor(detail["index"], value)
        loaded.invoke()

    def output(self, loaded: Any, detail: Mapping[str, Any], position: int) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = loaded.get_tensor(detail["index"])
        return found
