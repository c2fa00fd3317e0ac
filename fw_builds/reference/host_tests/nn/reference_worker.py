"""Runs a reference interpreter in a process of its own: interpreters crash on bad models.

Protocol on the pipes, little-endian uint32 unless said otherwise:

* request: model length, number of inputs, input length, then the model and the inputs;
* answer: 0 and the length of one output, then one output for each input; or 1 and the length of an error text, then
  the text.
"""

from __future__ import annotations

import importlib
import importlib.util
import struct
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Run = Callable[[npt.NDArray[np.int8]], bytes]
"""One input (flat) to the bytes of the output."""


def _tflite(package: str, known: str) -> Callable[[bytes], Run]:
    """TensorFlow Lite's reference kernels, of the releases in which they are what microcontrollers compute."""
    version = importlib.import_module(package).__version__
    if version != known:
        raise SystemExit(f"{package} {known} is the reference; {version} has other kernels")
    module = importlib.import_module(f"{package}.interpreter")

    def load(model: bytes) -> Run:
        interpreter = module.Interpreter(
            model_content=model,
            experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF,
            num_threads=1,
        )
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]
        sink = interpreter.get_output_details()[0]["index"]

        def run(row: npt.NDArray[np.int8]) -> bytes:
            interpreter.set_tensor(source["index"], row.reshape(source["shape"]))
            interpreter.invoke()
            return bytes(interpreter.get_tensor(sink).tobytes())

        return run

    return load


def _tflite_micro() -> Callable[[bytes], Run]:
    """TensorFlow Lite for Microcontrollers on the host: the only one with wheels for every Python."""
    runtime = importlib.import_module("tflite_micro").runtime

    def load(model: bytes) -> Run:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=max(1 << 20, 16 * len(model)))
        shape = interpreter.get_input_details(0)["shape"]

        def run(row: npt.NDArray[np.int8]) -> bytes:
            interpreter.set_input(row.reshape(shape), 0)
            interpreter.invoke()
            return bytes(interpreter.get_output(0).tobytes())

        return run

    return load


def _engine() -> Callable[[bytes], Run]:
    """The first that is installed."""
    for package, known in (("tflite_runtime", "2.14.0"), ("ai_edge_litert", "1.2.0")):
        if importlib.util.find_spec(package) is not None:
            return _tflite(package, known)
    if importlib.util.find_spec("tflite_micro") is not None:
        return _tflite_micro()
    raise SystemExit("no reference interpreter is installed: tflite-runtime, ai-edge-litert or tflite-micro")


def _answer(load: Callable[[bytes], Run], model: bytes, inputs: npt.NDArray[np.int8]) -> bytes:
    """Run `model` on each row of `inputs`."""
    run = load(model)
    answers = [run(row) for row in inputs]
    return struct.pack("<II", 0, len(answers[0]) if answers else 0) + b"".join(answers)


def main() -> None:
    """Serve requests until standard input ends."""
    load = _engine()
    pipe_in, pipe_out = sys.stdin.buffer, sys.stdout.buffer
    while head := pipe_in.read(12):
        model_length, count, input_length = struct.unpack("<III", head)
        model = pipe_in.read(model_length)
        inputs = np.frombuffer(pipe_in.read(count * input_length), dtype=np.int8).reshape(count, input_length)
        try:
            answer = _answer(load, model, inputs)
        except (RuntimeError, ValueError) as error:
            text = str(error).encode()
            answer = struct.pack("<II", 1, len(text)) + text
        pipe_out.write(answer)
        pipe_out.flush()


if __name__ == "__main__":
    main()
