"""`tfm-harness replay` as users see it, without a board."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from tfm_harness.cli.main import main
from tfm_harness.parity import small_models
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.replay import Failure, save_failure

MODEL = small_models.dense(seed=21)


@pytest.fixture
def failure(tmp_path: Path) -> Failure:
    path = tmp_path / "dense.tflite"
    path.write_bytes(MODEL)
    inputs = np.random.default_rng(1).integers(-128, 128, (3, 1, 16), dtype=np.int8)
    with get_engine() as engine:
        (reference,) = engine.run(MODEL, inputs)
        record = engine.record.as_dict()
    device = reference.copy()
    device[1, 0, 2] ^= 1
    return Failure(
        model="dense",
        model_sha256=sha256(MODEL).hexdigest(),
        vectors=(4, 8, 15),
        inputs=(inputs,),
        reference=(reference,),
        device=(device,),
        engine=record,
        seed=1,
        context={"model": str(path)},
    )


def test_a_difference_is_shown_again(failure: Failure, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save_failure(tmp_path, failure)
    assert main(["replay", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "1 of 24 elements differ (2 of 3 vectors exact), max 1 LSB" in shown
    assert "(vector 8 of the session)" in shown
    assert main(["replay", str(file), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["recorded"]["failing"] == [1]


def test_no_difference_is_no_failure(failure: Failure, tmp_path: Path) -> None:
    assert main(["replay", str(save_failure(tmp_path, replace(failure, device=failure.reference)))]) == 0


def test_another_reference_is_the_benchs(failure: Failure, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save_failure(tmp_path, replace(failure, reference=failure.device))
    assert main(["replay", str(file)]) == 10
    assert "replay-reference" in capsys.readouterr().err


def test_wrong_files_are_the_users(failure: Failure, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save_failure(tmp_path, failure)
    other = tmp_path / "other.tflite"
    other.write_bytes(small_models.dense(seed=22))
    for arguments, words in (
        (["replay", str(tmp_path / "none.json")], "replay-file"),
        (["replay", str(file), "--model", str(other)], "another model"),
        (["replay", str(file), "--model", str(tmp_path / "none")], "cannot be read"),
        (["replay", str(file), "--target", "x"], "belong together"),
        (["replay", str(file), "--engine", "x"], "no reference engine is called"),
    ):
        assert main(arguments) == 4
        assert words in capsys.readouterr().err
    assert main(["replay", str(file), "--model", str(tmp_path / "dense.tflite")]) == 1
