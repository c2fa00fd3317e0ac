"""Runs tflite-runtime's reference kernels in a process of its own: interpreters crash on bad models.

Protocol on the pipes, little-endian uint32 unless said otherwise:

* request: model length, number of inputs, input length, then the model and the inputs;
* answer: 0 and the length of one output, then one output for each input; or 1 and the length of an error text, then
  the text.
"""

from __future__ import annotations

import struct
import sys

import numpy as np
import numpy.typing as npt

try:
    import tflite_runtime as runtime
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    KNOWN = "2.14.0"
except ImportError:  # tflite-runtime has no wheels beyond Python 3.11
    import ai_edge_litert as runtime
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    KNOWN = "1.2.0"  # the last release with the same reference kernels


def _answer(model: bytes, inputs: npt.NDArray[np.int8]) -> bytes:
    """Run `model` on each row of `inputs`."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    sink = interpreter.get_output_details()[0]["index"]
    answers = []
    for row in inputs:
        interpreter.set_tensor(source["index"], row.reshape(source["shape"]))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(sink).tobytes())
    return struct.pack("<II", 0, len(answers[0]) if answers else 0) + b"".join(answers)


def main() -> None:
    """Serve requests until standard input ends."""
    if runtime.__version__ != KNOWN:
        raise SystemExit(f"{runtime.__name__} {KNOWN} is the reference; {runtime.__version__} has other kernels")
    pipe_in, pipe_out = sys.stdin.buffer, sys.stdout.buffer
    while head := pipe_in.read(12):
        model_length, count, input_length = struct.unpack("<III", head)
        model = pipe_in.read(model_length)
        inputs = np.frombuffer(pipe_in.read(count * input_length), dtype=np.int8).reshape(count, input_length)
        try:
            answer = _answer(model, inputs)
        except (RuntimeError, ValueError) as error:
            text = str(error).encode()
            answer = struct.pack("<II", 1, len(text)) + text
        pipe_out.write(answer)
        pipe_out.flush()


if __name__ == "__main__":
    main()
