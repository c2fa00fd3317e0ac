"""Labelled data by the device's batch command: its first output's decisions beside the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from tfm_harness.config.loading import load_build
from tfm_harness.parity import testkit
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.protocol.base import Feature

from tests.judged import MakeReference, references

MODEL = testkit.classifier()  # its outputs: ten logits, and their softmax
COUNT = 70


class BatchBoard:
    """A board that computes the model; `turned` moves the logits of one of its answers by one class."""

    def __init__(self, engine: ReferenceEngine, turned: int | None = None) -> None:
        self.engine, self.turned, self.count = engine, turned, 0
        self.device: Any = SimpleNamespace(test_commands=self, client=SimpleNamespace(features={Feature.BATCH}))

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        info = self.engine.info(MODEL)
        assert output_bytes == info.output_bytes
        answers = []
        for logits, softmax in zip(*self.engine.run(MODEL, tensors(inputs)), strict=True):
            given = np.roll(logits, 1) if self.count == self.turned else logits
            answers.append(given.tobytes() + softmax.tobytes())
            self.count += 1
        return answers

    def progress(self, what: str) -> Callable[[int, int], None]:
        assert what
        return lambda done, total: None


def tensors(inputs: Sequence[bytes]) -> npt.NDArray[np.int8]:
    return np.frombuffer(b"".join(inputs), np.int8).reshape(len(inputs), 1, 1, 96, 2)


@pytest.fixture(scope="module")
def engine() -> Iterator[ReferenceEngine]:
    with ReferenceEngine("numpy-reference", self_test=False) as found:
        yield found


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeReference]:
    with references(tmp_path) as made:
        yield made


def a_build(folder: Path, engine: ReferenceEngine) -> Path:
    """A build whose data set has the model's own decisions as labels."""
    rng = np.random.default_rng(5)
    inputs = [rng.integers(-128, 128, 192).astype(np.int8).tobytes() for _ in range(COUNT)]
    classes = engine.run(MODEL, tensors(inputs))[0].argmax(axis=2).reshape(-1)
    assert len(set(classes)) > 1
    for number, data in enumerate(inputs):
        (folder / f"{number}.bin").write_bytes(data)
    (folder / "y_labels.csv").write_text("".join(f"{n}.bin,10,{label}\n" for n, label in enumerate(classes)))
    (folder / "net.tflite").write_bytes(MODEL)
    net = {"file": "net.tflite", "dataset": {"folder": ".", "least": 1.0}}
    (folder / "build.yaml").write_text(yaml.safe_dump({"name": "simulated", "models": {"net": net}}))
    return folder / "build.yaml"


def test_a_right_device_passes_and_one_wrong_decision_is_found(
    tmp_path: Path, engine: ReferenceEngine, make: MakeReference
) -> None:
    build = load_build(a_build(tmp_path, engine))
    right = make(build, BatchBoard(engine))
    assert right.accuracy("net").samples == COUNT
    assert right.report.ok, right.report.failed
    wrong = make(build, BatchBoard(engine, turned=65))
    assert wrong.accuracy("net").differing == ("65.bin",)
    assert {f.check.id for f in wrong.report.failed} == {"accuracy.device", "accuracy.same-decisions"}
