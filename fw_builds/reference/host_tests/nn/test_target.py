"""The engine compiled for the Cortex-M55, on QEMU's mps3-an547: the same bits as on the host."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from engines import BUILD, HERE, MODELS, Int8, engine_describe, reference
from tfm_harness.testing.one_operator import GENERATORS

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed"),
    pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"),
]

PROGRAMS = ("nn_target.elf", "nn_target.soft.elf")


@pytest.fixture(scope="module", autouse=True)
def _programs(_drivers: None) -> None:
    subprocess.run(["make", "-s", "target"], cwd=HERE, check=True)


def run_target(program: str, cases: Sequence[tuple[bytes, Int8]], folder: Path) -> list[Int8]:
    """Outputs of the emulated core for each model with its inputs; semihosting gives it `folder` alone."""
    for number, (content, inputs) in enumerate(cases):
        (folder / f"model.{number}").write_bytes(content)
        (folder / f"inputs.{number}").write_bytes(inputs.tobytes())
    result = subprocess.run(
        ["qemu-system-arm", "-M", "mps3-an547", "-nodefaults", "-display", "none", "-monitor", "none",
         "-serial", "none", "-semihosting-config", "enable=on,target=native", "-kernel", str(BUILD / program)],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == 0, (result.returncode, result.stderr)
    outputs = [(folder / f"outputs.{number}").read_bytes() for number in range(len(cases))]
    return [
        np.frombuffer(output, dtype=np.int8).reshape(len(inputs), -1)
        for output, (_, inputs) in zip(outputs, cases, strict=True)
    ]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("name", "count"), [("sine", 256), ("tamper", 200), ("keyword", 20)])
def test_model_on_the_emulated_core(name: str, count: int, program: str, tmp_path: Path) -> None:
    content = (MODELS / f"{name}.tflite").read_bytes()
    size = int(np.prod(engine_describe(MODELS / f"{name}.tflite")["input"]["shape"]))
    inputs = np.random.default_rng(99).integers(-128, 128, (count, size)).astype(np.int8)
    expected = reference.run(content, inputs)
    assert len(np.unique(expected, axis=0)) >= 16
    (seen,) = run_target(program, [(content, inputs)], tmp_path)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", GENERATORS)
def test_operator_on_the_emulated_core(name: str, program: str, tmp_path: Path) -> None:
    cases = []
    for index in range(6):
        rng = np.random.default_rng([7, index])
        graph = GENERATORS[name](rng)
        inputs = rng.integers(-128, 128, (20, int(np.prod(graph.tensors[0].shape)))).astype(np.int8)
        cases.append((graph.build(), inputs))
    for case, seen in zip(cases, run_target(program, cases, tmp_path), strict=True):
        np.testing.assert_array_equal(seen, reference.run(*case))
