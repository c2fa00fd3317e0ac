"""TOSA's reference model as a reference engine: an integer .tflite model is lowered to TOSA and computed there.

Arm's converter makes MLIR of the model, `tosa-opt` (of tosa-tools) makes a TOSA graph of that, and the reference model,
which is written from TOSA's specification, computes it. That is what compilers such as Vela 5 start from: where this
engine and TensorFlow Lite's kernels differ, lowering is to blame and not the device.

Floating point depends on the order of additions, which TOSA leaves open: such models are refused, and so is whatever
the converter cannot lower to TOSA alone.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

_TYPES = {2: np.int32, 4: np.int64, 7: np.int16, 9: np.int8}  # TensorType of the TFLite schema


class _Loaded:
    def __init__(self, graph: bytes, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        self.graph, self.inputs, self.outputs = graph, inputs, outputs
        self.results: Sequence[npt.NDArray[Any]] = ()


class Engine:
    """See `tfm_harness.parity.EngineAdapter`."""

    partial: ClassVar[bool] = True

    def __init__(self) -> None:
        import tosa_reference_model

        self._run = tosa_reference_model.run
        self._tools = Path(str(distribution("tosa-tools").locate_file("bin")))
        self.record: Mapping[str, str] = {
            "version": version("tosa-tools"),
            "resolver": f"tosa-converter-for-tflite {version('tosa-converter-for-tflite')}",
        }

    def load(self, model: bytes) -> Any:
        fixed, inputs, outputs = _fixed_shapes(model)
        return _Loaded(self._lowered(fixed), inputs, outputs)

    def details(self, loaded: Any) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        return loaded.inputs, loaded.outputs

    def invoke(self, loaded: Any, inputs: Sequence[tuple[Mapping[str, Any], npt.NDArray[Any]]]) -> None:
        results, status = self._run(loaded.graph, [np.ascontiguousarray(value) for _, value in inputs])
        if status.name != "TOSA_VALID":
            raise ValueError(f"TOSA's reference model calls this result {status.name}")
        loaded.results = [
            np.asarray(result).reshape(detail["shape"]) for detail, result in zip(loaded.outputs, results, strict=True)
        ]

    def output(self, loaded: Any, detail: Mapping[str, Any], position: int) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = loaded.results[position].astype(detail["dtype"], casting="equiv")
        return found

    def _lowered(self, model: bytes) -> bytes:
        from tosa_converter_for_tflite import tflite_flatbuffer_to_tosa_mlir

        with tempfile.TemporaryDirectory() as folder:
            source, lowered, graph = (Path(folder, name) for name in ("m.tflite", "m.mlirbc", "m.tosa"))
            source.write_bytes(model)
            tflite_flatbuffer_to_tosa_mlir(str(source), str(lowered))
            done = subprocess.run(
                [
                    self._tools / "tosa-opt", lowered, "--tosa-serialize", f"--tosa-flatbuffer-filename={graph}",
                    f"--tosa-flatbuffer-schema={self._tools / 'tosa.fbs'}", "-o", "/dev/null",
                ],
                capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            if done.returncode or not graph.is_file():
                raise ValueError(f"not lowered to TOSA: {done.stderr.strip()[-300:]}")
            return graph.read_bytes()


def _fixed_shapes(model: bytes) -> tuple[bytes, list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The model with static shapes in the dynamic ones' place (the reference model takes no others); its interface."""
    import tflite

    changed = bytearray(model)
    root = tflite.Model.GetRootAs(model, 0)
    graph = root.Subgraphs(0)
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        if tensor.Type() not in _TYPES:
            raise ValueError(f"tensor {number} is no integer: this engine is exact for those only")
        field = tensor._tab.Offset(18)  # shape_signature of schema.fbs
        if field:
            start = tensor._tab.Vector(field)
            shape = np.asarray([tensor.Shape(axis) for axis in range(tensor.ShapeLength())], "<i4").tobytes()
            if tensor.ShapeSignatureLength() == tensor.ShapeLength():
                changed[start : start + len(shape)] = shape

    def interface(tensors: Sequence[int]) -> list[Mapping[str, Any]]:
        found = [graph.Tensors(int(number)) for number in tensors]
        return [
            {
                "name": tensor.Name().decode(),
                "shape": np.asarray([tensor.Shape(axis) for axis in range(tensor.ShapeLength())]),
                "dtype": _TYPES[tensor.Type()],
            }
            for tensor in found
        ]

    return (
        bytes(changed),
        interface([graph.Inputs(n) for n in range(graph.InputsLength())]),
        interface([graph.Outputs(n) for n in range(graph.OutputsLength())]),
    )
