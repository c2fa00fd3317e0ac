"""The device's outputs, byte for byte those of the reference interpreter."""

from __future__ import annotations

import random
import struct
import subprocess
import sys

import pytest
from board_types import REFERENCE, Boot

pytestmark = pytest.mark.qemu

WORKER = REFERENCE / "host_tests" / "nn" / "reference_worker.py"


def reference(model: str, inputs: bytes, size: int) -> bytes:
    """In a process of its own: the interpreter may crash. The first reference interpreter that is installed."""
    content = (REFERENCE / "models" / f"{model}.tflite").read_bytes()
    request = struct.pack("<III", len(content), len(inputs) // size, size) + content + inputs
    answer = subprocess.run([sys.executable, WORKER], input=request, capture_output=True, check=True).stdout
    assert answer[:4] == bytes(4), answer[8:]
    return answer[8:]


FEW = [("sine", 256), ("tamper", 200), ("keyword", 12)]
MANY = [pytest.param(*row, marks=pytest.mark.nightly) for row in (("tamper", 1000), ("keyword", 40))]


@pytest.mark.parametrize(("model", "count"), [*FEW, *MANY])
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
    assert len({outputs[at : at + out] for at in range(0, len(outputs), out)}) >= min(16, count // 2)
    assert outputs == reference(model, inputs, size)
