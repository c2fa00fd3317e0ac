"""Labelled data by the device's batch command: its first output's decisions beside the reference's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.errors import ConfigError
from tfm_harness.parity import small_models
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.protocol.base import Feature
from tfm_harness.stimulus.trace import find_trace, load_trace

from tests.judged import MakeReference, references

MODEL = small_models.classifier()  # its outputs: ten logits, and their softmax
COUNT = 70


TAMPER = Path(__file__).resolve().parents[2] / "fw_builds" / "reference" / "models" / "tamper.tflite"


class SensorBoard:
    """A board that computes the sensor model; `turned` moves the scores of one of its answers by one class."""

    def __init__(self, engine: ReferenceEngine, turned: int | None = None) -> None:
        self.engine, self.turned, self.count = engine, turned, 0
        self.device: Any = SimpleNamespace(test_commands=self, client=SimpleNamespace(features={Feature.BATCH}))

    def batch(self, inputs: Sequence[bytes], _output_bytes: int) -> list[bytes]:
        rows = np.frombuffer(b"".join(inputs), np.int8).reshape(len(inputs), 1, 32, 1, 4)
        answers = []
        for scores in self.engine.run(TAMPER.read_bytes(), rows)[0]:
            answers.append((np.roll(scores, 1) if self.count == self.turned else scores).tobytes())
            self.count += 1
        return answers

    def progress(self, what: str) -> Callable[[int, int], None]:
        assert what
        return lambda done, total: None


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


def labelled_traces(folder: Path, *lines: str) -> Path:
    """A build whose data set has recorded traces among its files."""
    for name in ("idle.csv", "tamper.csv"):
        shutil.copy(find_trace(name), folder)
    (folder / "one.bin").write_bytes(bytes(128))
    (folder / "short.csv").write_text("mag.x,mag.y,mag.z,temp\n1,2,3,20\n")
    (folder / "y_labels.csv").write_text("\n".join(lines) + "\n")
    model = {"file": str(TAMPER), "input": "sensor", "frontend": "reference", "dataset": {"folder": ".", "least": 0.5}}
    (folder / "build.yaml").write_text(yaml.safe_dump({"name": "simulated", "models": {"tamper": model}}))
    return folder / "build.yaml"


def test_each_window_of_a_labelled_trace_is_a_decision(
    tmp_path: Path, engine: ReferenceEngine, make: MakeReference
) -> None:
    build = load_build(labelled_traces(tmp_path, "idle.csv,3,0", "tamper.csv,3,2", "one.bin,3,0"))
    sensors = load_target("qemu-an547").sensors
    windows = [len(load_trace(find_trace(name))) // 32 for name in ("idle.csv", "tamper.csv")]
    found = make(build, SensorBoard(engine), sensors=sensors).accuracy("tamper")
    assert found.samples == sum(windows) + 1
    assert [sum(row) for row in found.device_matrix] == [windows[0] + 1, 0, windows[1]]
    assert found.device_matrix == found.reference_matrix
    turned = make(build, SensorBoard(engine, turned=windows[0] + 1), sensors=sensors).accuracy("tamper")
    assert turned.differing == ("tamper.csv, window 1",)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("short.csv,3,0", "shorter than a window"),
        ("idle.csv,3,0,32,8", "the front-end's own"),
        ("missing.csv,3,0", "no such trace"),
    ],
)
def test_a_trace_that_cannot_be_labelled_is_named(
    tmp_path: Path, engine: ReferenceEngine, make: MakeReference, line: str, words: str
) -> None:
    build = load_build(labelled_traces(tmp_path, line))
    with pytest.raises(ConfigError, match=words):
        make(build, SensorBoard(engine), sensors=load_target("qemu-an547").sensors).accuracy("tamper")
