"""The parity suite on the reference firmware in QEMU, as users run it: own models, tolerances, wrong numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from tfm_harness.parity import small_models
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.generate import generate_inputs
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.report.storage import load_run
from tfm_harness.testing.images import ImageRecipe, load_signing_key, make_image

from tests.reference_firmware import FIRMWARE, ROOT, needs_firmware

pytestmark = [pytest.mark.qemu, needs_firmware]


class Run:
    """One run of the suite in a folder of its own."""

    def __init__(self, folder: Path, build: dict[str, Any], *args: str) -> None:
        (folder / "build.yaml").write_text(yaml.safe_dump(build))
        command = [sys.executable, "-m", "tfm_harness.cli.main", "run", "parity", "--target", "qemu-an547"]
        command += ["--build", str(folder / "build.yaml"), "--run-dir", str(folder / "run")]
        command += ["--junitxml", str(folder / "junit.xml"), "--", "-p", "no:cacheprovider", *args]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "TFM_HARNESS_STATE_DIR": str(folder / "state"), "COLUMNS": "150"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.code, self.output = done.returncode, done.stdout + done.stderr
        assert (folder / "run" / "run.json").exists(), self.output
        json.loads((folder / "run" / "run.json").read_text(), parse_constant=self._not_json)
        self.record = load_run(folder / "run")
        self.junit = ET.parse(folder / "junit.xml").getroot()

    @staticmethod
    def _not_json(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    def properties(self) -> dict[str, str]:
        found = self.junit.find("testsuite/properties")
        return {p.attrib["name"]: p.attrib["value"] for p in (found if found is not None else ())}


def reference_build(**parity: object) -> dict[str, Any]:
    """The reference build with absolute paths."""
    said: dict[str, Any] = yaml.safe_load((FIRMWARE / "build.yaml").read_text())
    for image in said["images"]:
        image["file"] = str(FIRMWARE / image["file"])
    for model in said["models"].values():
        model |= {key: str(FIRMWARE / model[key]) for key in ("file", "image") if key in model}
    said["trust"]["images"] = str(FIRMWARE / said["trust"]["images"])
    said["files"] = {}
    return {**said, "name": "user", "parity": parity}


@pytest.mark.nightly
def test_models_that_only_the_reference_runs_and_a_tolerance_nobody_needs(tmp_path: Path) -> None:
    key = load_signing_key(FIRMWARE / "keys" / "TEST_ONLY_image_signing.pem")
    model = small_models.dense("float32")  # an int8 interpreter refuses it
    (tmp_path / "real.tflite").write_bytes(model)
    (tmp_path / "real.signed.bin").write_bytes(make_image(ImageRecipe(payload=model, name="real", key=key)))
    build = reference_build(
        vectors=16,
        min_distinct=8,
        tolerances=[
            {"name": "left-over", "model": "sine", "max_lsb": 1, "reason": "was needed by an older kernel"},
            {"name": "elsewhere", "model": "absent", "max_lsb": 1, "reason": "nobody compares this model"},
        ],
    )
    build["models"]["real"] = {
        "file": str(tmp_path / "real.tflite"),
        "image": str(tmp_path / "real.signed.bin"),
        "slot": 3,
    }
    del build["models"]["keyword"]  # an inference takes as long as a hundred others
    build["models"]["absent"] = {"file": str(tmp_path / "real.tflite"), "quantisation": "truncate"}
    run = Run(tmp_path, build)
    assert run.code == 4, run.output
    outcomes = {t.short: t.outcome for t in run.record.tests}
    name = "test_many_inputs_give_the_references_outputs[qemu-an547+user-{}-all]"
    assert [outcomes[name.format(m)] for m in ("tamper", "sine")] == ["passed"] * 2
    assert [outcomes[name.format(m)] for m in ("real", "absent")] == ["not covered"] * 2
    reasons = {t.message for t in run.record.tests if t.outcome == "not covered"}
    assert any("holds no model 'absent': nothing is compared" in reason for reason in reasons)
    refused = next(reason for reason in reasons if "refuses the image of model 'real' in slot 3" in reason)
    assert "PSA_ERROR_INVALID_ARGUMENT (-135)" in refused
    assert "real is signed, but no model for this device: tensor not supported" in refused
    uncovered = sum(t.outcome == "not covered" for t in run.record.tests)
    assert f"not covered: {uncovered} tests" in run.output
    states = {w.finding: w.state for w in run.record.waivers}
    assert states == {"parity tolerance left-over": "unused", "parity tolerance elsewhere": "not judged"}
    assert "parity tolerance left-over" in run.output
    # JUnit says the same
    (errors,) = [case for case in run.junit.iter("testcase") if "left-over" in case.attrib["name"]]
    assert errors.find("error") is not None
    assert run.properties()["harness.verdict"] == run.record.verdict == "configuration"
    assert run.junit.find(f"testsuite[@skipped='{uncovered}']") is not None
    # a sensor model's vectors hold windows of the recorded traces
    inputs = {p.model: p.inputs for p in run.record.parity}
    source, _, edges = inputs["tamper"].rpartition(", ")
    assert source == "8 windows of idle.csv, vibration.csv, tamper.csv, 8 generated"
    assert edges.endswith("of 67 edges of the arithmetic reached")
    assert inputs["sine"].startswith("16 generated, ")


def test_wrong_numbers_name_the_operator_and_can_be_replayed(tmp_path: Path) -> None:
    """The device's model has another weight than the build's file: caught, and the operator named by the device."""
    data = (FIRMWARE / "models" / "tamper.tflite").read_bytes()
    info = parse_model(data, name="tamper")
    op = next(o for o in info.operators if o.name == "FULLY_CONNECTED")
    with get_engine() as engine:
        import numpy as np

        (weights,) = engine.tensors(data, np.zeros((1, *info.inputs[0].shape), np.int8), [op.inputs[1]])
    changed = bytearray(data)
    at = data.index(weights.tobytes())
    changed[at : at + weights.size] = bytes((w ^ 0x55) & 0xFF for w in weights.tobytes())
    (tmp_path / "tamper.tflite").write_bytes(changed)
    build = reference_build(vectors=24, min_distinct=2, max_saturated=1)
    build["models"]["tamper"]["file"] = str(tmp_path / "tamper.tflite")
    build["models"] = {"tamper": build["models"]["tamper"]}
    # As an image of its own the model is flashed all the same; a model's own `image` must hold its `file`.
    model = build["models"]["tamper"]
    build["images"].append({"file": model.pop("image"), "world": "model", "slot": model.pop("slot")})
    run = Run(tmp_path, build, "-k", "many_inputs and few")
    assert run.code == 1, run.output
    (test,) = [t for t in run.record.tests if t.outcome == "failed"]
    failed = {f.id: f for f in test.findings if f.status == "failed"}
    assert set(failed) == {"parity.bit-exact", "parity.op-outputs"}
    assert failed["parity.op-outputs"].where == str(op)
    (parity,) = run.record.parity
    assert parity.first_op.startswith(f"{op}: ")
    (case,) = [case for case in run.junit.iter("testcase") if case.find("failure") is not None]
    said = [p.attrib["value"] for p in case.iter("property") if p.attrib["name"] == "harness.where"]
    assert f"parity.op-outputs: {op}" in said
    # one command runs what failed again: on the reference, and with a target on the device, which names the operator
    command = [sys.executable, "-m", "tfm_harness.cli.main", "replay", parity.failure, "--json"]
    target = ["--target", "qemu-an547", "--build", str(tmp_path / "build.yaml")]
    for more in ([], [*target, "--run-dir", str(tmp_path / "again"), "--state-dir", str(tmp_path / "state")]):
        replayed = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert replayed.returncode == 1, replayed.stderr
        again = json.loads(replayed.stdout, parse_constant=Run._not_json)
        assert again["recorded"]["failing"]
        if more:
            assert again["live"]["failing"] == again["recorded"]["failing"]
            assert again["first_op"].startswith(f"{op}: ")


@pytest.mark.nightly
def test_labelled_data_on_the_device(tmp_path: Path) -> None:
    """By batches: one model is as right as was asked for, one is bit-exact and wrong: the report tells them apart."""
    build = reference_build(vectors=8, min_distinct=1)
    with get_engine() as engine:
        for name, shift in (("tamper", 0), ("keyword", 1)):
            data = (FIRMWARE / "models" / f"{name}.tflite").read_bytes()

            def run(arrays: Any, data: bytes = data, name: str = name) -> Any:
                return engine.run(data, arrays, name=name)

            found = generate_inputs(engine.info(data, name), run, 24, seed=5)
            outputs = run(found.inputs)[0].reshape(24, -1)
            folder = tmp_path / name
            folder.mkdir()
            lines = []
            for number, (row, scores) in enumerate(zip(found.inputs[0], outputs, strict=True)):
                (folder / f"{number}.bin").write_bytes(row.tobytes())
                lines.append(f"{number}.bin,{scores.size},{(int(scores.argmax()) + shift) % scores.size}\n")
            (folder / "y_labels.csv").write_text("".join(lines))
            build["models"][name]["dataset"] = {"folder": str(folder), "least": 0.9}
    run_ = Run(tmp_path, build, "-k", "labelled or as_right")
    assert run_.code == 1, run_.output
    entries = {entry.model: entry for entry in run_.record.accuracy}
    assert entries["tamper"].device == entries["tamper"].reference == 1.0
    assert entries["keyword"].device == entries["keyword"].reference < 0.9
    assert all(entry.alike == 24 for entry in entries.values())
    assert "bit-exact and wrong" in entries["keyword"].words
    assert all(entry.device_matrix == entry.reference_matrix for entry in entries.values())
    assert sum(map(sum, entries["tamper"].device_matrix)) == 24
    failed = {f.id: f.subject for test in run_.record.tests for f in test.findings if f.status == "failed"}
    assert set(failed) == {"accuracy.device", "accuracy.model"}
    assert "keyword" in failed["accuracy.model"]
    said = run_.properties()
    where = "harness.accuracy.qemu-an547+user.keyword"
    assert "bit-exact and wrong" in said[where]
    assert said[f"{where}.device"] == said[f"{where}.reference"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'class="confusion"' in page
    assert "bit-exact and wrong" in page
