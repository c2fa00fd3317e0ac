"""Which engine runs which model, and whether it gives the truth's numbers: a table in Markdown.

Own small models of every kind, and those that are named (.tflite and .onnx):
``python benchmarks/parity/models_by_engine.py [--only-named] [--firmware NN_RUN] [FILE ...]``. NN_RUN is the reference
firmware's interpreter for this host (``make -C fw_builds/reference/host_tests/nn build/nn_run.plain``). Each cell:
*truth*, *exact*, how many of the elements differ and by how much, or the refusal's words.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.parity import small_models
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.generate import generate_inputs
from tfm_harness.parity.model_rewriting import select_signature
from tfm_harness.parity.onnx import OnnxEngine
from tfm_harness.parity.onnx_model import pack

VECTORS = 20
FIRMWARE_ARENA = 128 * 1024
"""Bytes of work memory that the firmware has (docs/protocol.md)."""
ENGINES: dict[str, Callable[[str], ReferenceEngine]] = {
    "tflite-runtime": ReferenceEngine, "ai-edge-litert": ReferenceEngine, "tflite-micro": ReferenceEngine,
    "numpy-reference": ReferenceEngine, "onnx-reference": OnnxEngine, "onnxruntime": OnnxEngine,
}  # fmt: skip


def own_models() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of small models of every kind."""
    yield "int8 classifier (conv, dense, softmax)", small_models.classifier()
    yield "int8 two inputs, two outputs", small_models.two_in_two_out()
    yield "int16 dense", small_models.dense("int16")
    yield "float32 dense", small_models.dense("float32")
    yield "float16 weights", small_models.half_weights()
    yield "stateful SVDF, float32", small_models.remembers()
    yield "second of two signatures", select_signature(small_models.two_signatures(), "embed")
    yield "compiled for an Ethos-U", small_models.compiled_dense()


def named_models(paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of those in files."""
    for path in map(Path, paths):
        data = path.read_bytes()
        yield path.name, pack(data, str(path.parent), {}, {}) if path.suffix == ".onnx" else data


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Which engine runs which model, exactly or not: a Markdown table.")
    parser.add_argument("--only-named", action="store_true", help="without the own small models")
    parser.add_argument("--firmware", type=Path, help="the reference firmware's interpreter for this host")
    parser.add_argument("files", nargs="*", help=".tflite and .onnx files")
    arguments = parser.parse_args()
    engines: dict[str, ReferenceEngine] = {}
    for name, make in ENGINES.items():
        try:
            engines[name] = make(name)
        except HarnessError as error:
            print(f"{name}: not used: {error.message}", file=sys.stderr)
    heads = [str(engine.record) for engine in engines.values()] + ["reference firmware"] * bool(arguments.firmware)
    print(f"| model | {' | '.join(heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    for name, model in chain(() if arguments.only_named else own_models(), named_models(arguments.files)):
        cells = row(engines, model, name, onnx=model.startswith(b"{"), firmware=arguments.firmware)
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for engine in engines.values():
        engine.close()


def row(
    engines: dict[str, ReferenceEngine], model: bytes, name: str, *, onnx: bool, firmware: Path | None
) -> Iterator[str]:
    """The cells of one model."""
    truth: list[npt.NDArray[np.generic]] | None = None
    inputs: list[npt.NDArray[np.generic]] = []
    for engine in engines.values():
        if isinstance(engine, OnnxEngine) is not onnx:
            yield "-"
            continue
        try:
            if truth is None:
                info = engine.info(model, name)
                found = generate_inputs(info, lambda a, e=engine: e.run(model, a, name=name), VECTORS, seed=1)  # type: ignore[misc]
                inputs, truth = found.inputs, engine.run(model, found.inputs, name=name)
                yield f"truth ({found.distinct} distinct)"
            else:
                yield words(truth, engine.run(model, inputs, name=name))
        except (HarnessError, ConfigError) as error:
            refused = error.kind == "engine-refused-model"
            seen = (error.seen if refused and error.seen else error.message).splitlines()[0].replace("|", "/")
            yield f"refused: {seen[:90]}"
    if firmware is not None:
        yield "-" if onnx else of_firmware(firmware, model, inputs, truth)


def of_firmware(
    program: Path, model: bytes, inputs: list[npt.NDArray[np.generic]], truth: list[npt.NDArray[np.generic]] | None
) -> str:
    """The cell of the firmware's interpreter."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(model)
        file.flush()
        data = inputs[0].tobytes() if inputs else b""
        done = subprocess.run(
            [program, file.name, str(FIRMWARE_ARENA)], input=data, capture_output=True, check=False, timeout=900
        )
    if done.returncode:
        return f"refused: {done.stderr.decode(errors='replace').strip()}"
    if truth is None:
        return "runs; nothing to compare with"
    return words(truth, [np.frombuffer(done.stdout, truth[0].dtype).reshape(truth[0].shape)])


def words(truth: list[npt.NDArray[np.generic]], found: list[npt.NDArray[np.generic]]) -> str:
    """How far two engines agree."""
    if all(a.tobytes() == b.tobytes() for a, b in zip(truth, found, strict=True)):
        return "exact"
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(truth, found, strict=True)]
    differ, of = sum(int((a != b).sum()) for a, b in pairs), sum(a.size for a, _ in pairs)
    return f"{differ} of {of} differ, by up to {max(float(np.abs(a - b).max()) for a, b in pairs):.3g}"


if __name__ == "__main__":
    main()
