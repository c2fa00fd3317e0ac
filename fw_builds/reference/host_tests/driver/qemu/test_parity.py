"""The device's outputs, byte for byte those of tflite-runtime's reference kernels."""

from __future__ import annotations

import random
import subprocess
import sys
from importlib.util import find_spec

import pytest
from board_types import REFERENCE, Boot

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(find_spec("tflite_runtime") is None, reason="the reference, tflite-runtime, is not installed"),
]

_WORKER = """
import sys
import numpy
from tflite_runtime.interpreter import Interpreter, OpResolverType
data = sys.stdin.buffer.read()
model = Interpreter(sys.argv[1], experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1)
model.allocate_tensors()
to, out = model.get_input_details()[0], model.get_output_details()[0]["index"]
size = int(numpy.prod(to["shape"]))
for at in range(0, len(data), size):
    model.set_tensor(to["index"], numpy.frombuffer(data[at : at + size], numpy.int8).reshape(to["shape"]))
    model.invoke()
    sys.stdout.buffer.write(model.get_tensor(out).tobytes())
"""


def reference(model: str, inputs: bytes) -> bytes:
    """In a process of its own: the interpreter may crash."""
    file = REFERENCE / "models" / f"{model}.tflite"
    done = subprocess.run([sys.executable, "-c", _WORKER, file], input=inputs, capture_output=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("model", "count"), [("sine", 256), ("tamper", 1000), ("keyword", 40)])
def test_outputs_are_exact(boot: Boot, model: str, count: int) -> None:
    device = boot(icount=False).device
    device.write(13, {"name": model})
    about = device.describe()
    size, out = about["in"], about["out"]
    rng = random.Random(3)  # noqa: S311 - the same inputs in each run
    if model == "sine":
        inputs = bytes(range(256))  # all there are
    else:  # half noise, half slow waves with noise, which reach more than the corners
        noise = [rng.randbytes(size) for _ in range(count // 2)]
        waves = [
            bytes((level + rng.randrange(-spread, spread + 1)) % 256 for _ in range(size))
            for level, spread in ((rng.randrange(256), rng.choice([1, 5, 20, 60])) for _ in range(count - len(noise)))
        ]
        inputs = b"".join(noise + waves)
    step = 3600 // size * size
    outputs = b"".join(device.batch(inputs[at : at + step]) for at in range(0, len(inputs), step))
    assert len(outputs) == count * out
    assert len({outputs[at : at + out] for at in range(0, len(outputs), out)}) >= 16
    assert outputs == reference(model, inputs)
