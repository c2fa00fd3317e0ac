"""The parity suite on a board that speaks MLPerf Tiny's protocol, as users run it."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import yaml
from tfm_harness.parity.numpy_reference.interpreter import Interpreter
from tfm_harness.report.storage import load_run
from tfm_harness.testing import dense, make_distribution

from tests.plugin.conftest import ROOT, Project

SUITE = str(ROOT / "suites" / "parity")


class Board:
    """A project with an MLPerf Tiny board, its model, and labelled data on which the model is right."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = project
        site = project.path / "mlperf-site"
        boards = {"mlperf-board": "tests.plugin.mlperf_board:MlperfBoard"}
        make_distribution(site, "tests-mlperf-board", {"tfm_harness.boards": boards})
        monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}{os.pathsep}{site}")
        self.model = dense()
        (project.path / "dense.tflite").write_bytes(self.model)
        self.data = project.path / "data"
        self.data.mkdir()
        self.label()

    def label(self, shift: int = 0) -> None:
        """Write the data set; `shift`: how far off the labels are."""
        rng = np.random.default_rng(5)
        interpreter = Interpreter(self.model)
        lines = []
        for number in range(24):
            tensor = rng.integers(-128, 128, (1, 16), dtype=np.int8)
            (self.data / f"{number}.bin").write_bytes(tensor.tobytes())
            decided = int(np.argmax(interpreter.run([tensor])[0]))
            lines.append(f"{number}.bin,8,{(decided + shift) % 8}\n")
        (self.data / "y_labels.csv").write_text("".join(lines))

    def run(
        self, *args: str, fault: str = "", dataset: bool = False, suite: str = SUITE, **model: object
    ) -> pytest.RunResult:
        folder = self.project.path
        (folder / "targets" / "tiny.yaml").write_text(f"kind: mlperf-board\nconsoles: {{ns: 0}}\nfault: '{fault}'\n")
        declared: dict[str, object] = {"file": "../../dense.tflite", **model}
        if dataset:
            declared["dataset"] = {"folder": "../../data", "least": 0.9}
        (folder / "fw_builds" / "tiny").mkdir(exist_ok=True)
        build = {"protocol": "mlperf-tiny", "models": {"dense": declared}, "parity": {"vectors": 40}}
        (folder / "fw_builds" / "tiny" / "build.yaml").write_text(yaml.safe_dump(build))
        return self.project.run(suite, "--tfm-run-dir", "run", *args, target="tiny", build="tiny")

    def page(self) -> str:
        return (self.project.path / "run" / "report.html").read_text()


@pytest.fixture
def board(project: Project, monkeypatch: pytest.MonkeyPatch) -> Board:
    return Board(project, monkeypatch)


def test_a_right_board_passes_and_the_report_says_how_far_it_was_judged(board: Board) -> None:
    result = board.run("--junitxml", "out.xml", dataset=True)
    assert result.ret == 0, result.stdout.str()
    run = load_run(board.project.path / "run")
    (noted,) = [f for test in run.tests for f in test.findings if f.id == "parity.printed-resolution"]
    assert "judged to the 3 decimals that the firmware prints" in noted.seen
    assert "judged to the 3 decimals" in board.page()
    (entry,) = run.accuracy
    assert (entry.device, entry.reference, entry.alike) == (1.0, 1.0, 24)
    assert entry.device_matrix == entry.reference_matrix
    assert sum(map(sum, entry.device_matrix)) == 24
    properties = {
        p.attrib["name"]: p.attrib["value"] for p in ET.parse(board.project.path / "out.xml").iter("property")
    }
    assert properties["harness.accuracy.tiny+tiny.dense"].startswith("top-1 1 on the device, 1 by the reference")
    assert (
        properties["harness.accuracy.tiny+tiny.dense.device"]
        == (properties["harness.accuracy.tiny+tiny.dense.reference"])
    )
    assert 'id="accuracy"' in board.page()
    uncovered = [test for test in run.tests if test.outcome == "not covered"]
    assert any("models" in test.message for test in uncovered)


def test_a_kernel_that_is_one_step_off_is_seen(board: Board) -> None:
    result = board.run("-k", "printed_results", fault="one-step")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*parity.printed-exact*"])


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("TOO_FEW_RESULTS", "*parity.output-form*"),
        ("TOO_MANY_RESULTS", "*parity.output-form*"),
        ("NOT_A_NUMBER", "*results-form*"),
        ("REPEATED_LINE", "*answer-form*"),
    ],
)
def test_a_firmware_that_answers_otherwise_fails(board: Board, fault: str, seen: str) -> None:
    result = board.run("-k", "printed_results", fault=fault)
    assert result.ret == 1
    result.stdout.fnmatch_lines([seen])


def test_a_model_that_is_bit_exact_and_wrong_is_named_so(board: Board) -> None:
    board.label(shift=1)
    result = board.run("-k", "printed", dataset=True)
    assert result.ret == 1
    run = load_run(board.project.path / "run")
    found = {f.id: f for test in run.tests for f in test.findings}
    assert found["accuracy.model"].status == "failed"
    assert "bit-exact and wrong" in found["accuracy.model"].seen
    assert found["accuracy.same-decisions"].status == "passed"
    assert found["parity.printed-exact"].status == "passed"
    assert "bit-exact and wrong" in board.page()


def test_a_device_that_decides_otherwise_than_its_model_is_not_the_models_fault(board: Board) -> None:
    result = board.run("-k", "printed_decisions", fault="always-first", dataset=True)
    assert result.ret == 1
    run = load_run(board.project.path / "run")
    found = {f.id: f for test in run.tests for f in test.findings}
    assert found["accuracy.device"].status == found["accuracy.same-decisions"].status == "failed"
    assert found["accuracy.model"].status == "passed"


def test_a_damaged_data_set_is_a_configuration_error_with_its_line(board: Board) -> None:
    path: Path = board.data / "y_labels.csv"
    path.write_text(path.read_text() + "3.bin,8,8\n")
    result = board.run("-k", "printed_decisions", dataset=True)
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*class 8 of 8*", "*y_labels.csv:25*"])


def test_an_autoencoder_is_judged_by_its_reconstruction_error(board: Board) -> None:
    (board.project.path / "dense.tflite").write_bytes(dense(units=16))
    result = board.run("-k", "printed_results", takes="float32", gives="reconstruction-error")
    assert result.ret == 0, result.stdout.str()
    assert "reconstruction error" in board.page()


def test_a_counter_of_a_wrong_frequency_does_not_fit_into_the_hosts_time(board: Board) -> None:
    """The simulated firmware claims a millisecond for what takes no time: more than the host waited."""
    result = board.run("-k", "fits_into", suite=str(ROOT / "suites" / "latency"))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*latency.counter-within-host*"])


def test_a_true_counter_fits(board: Board) -> None:
    result = board.run("-k", "fits_into", suite=str(ROOT / "suites" / "latency"), fault="true-counter")
    assert result.ret == 0, result.stdout.str()


def test_a_data_set_that_is_not_there_is_named_before_a_board_is_touched(board: Board) -> None:
    (board.data / "y_labels.csv").unlink()
    result = board.run("-k", "printed_decisions", dataset=True)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*models.dense.dataset.labels: no such file:*y_labels.csv*"])
