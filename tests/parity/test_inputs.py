"""Input files, generated inputs and replay files: good ones, and each kind of bad one."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.parity import small_models, testkit
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.generate import generate_inputs
from tfm_harness.parity.inputs import load_inputs
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.quantise import QuantisationRule
from tfm_harness.parity.replay import Failure, load_failure, save_failure

ONE = parse_model(small_models.dense(width=4, units=2), name="one")
TWO = parse_model(small_models.two_in_two_out(), name="two")
FLOAT = parse_model(small_models.dense("float32", width=4), name="float")


def test_npz_by_name_by_number_and_alone(tmp_path: Path) -> None:
    x, y = np.arange(12, dtype=np.int8).reshape(2, 1, 6), np.ones((2, 1, 6), np.int8)
    np.savez(tmp_path / "named.npz", t1=y, t0=x)
    np.savez(tmp_path / "numbered.npz", input0=x, input1=y)
    for name in ("named.npz", "numbered.npz"):
        left, right = load_inputs(tmp_path / name, TWO)
        assert (left == x).all()
        assert (right == y).all()
    np.savez(tmp_path / "alone.npz", anything=np.zeros((3, 4), np.int8))
    assert load_inputs(tmp_path / "alone.npz", ONE)[0].shape == (3, 1, 4)


def test_a_member_of_an_archive_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("x.npy", b"plain text")
    with pytest.raises(ConfigError, match="not an array"):
        load_inputs(tmp_path / "text.npz", ONE)


def test_folder_and_several_files(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    folder.mkdir()
    np.save(folder / "a.npy", np.full((1, 4), 1, np.int8))
    np.save(folder / "b.npy", np.full((2, 1, 4), 2, np.int8))
    assert load_inputs(folder, ONE)[0][:, 0, 0].tolist() == [1, 2, 2]
    assert load_inputs([folder, folder / "a.npy"], ONE)[0][:, 0, 0].tolist() == [1, 2, 2, 1]


def test_csv_integers_reals_and_header(tmp_path: Path) -> None:
    whole = tmp_path / "whole.csv"
    whole.write_text("a,b,c,d\n1,2,3,4\n\n-1,-2,-3,-128\n")
    assert load_inputs(whole, ONE)[0].reshape(-1, 4).tolist() == [[1, 2, 3, 4], [-1, -2, -3, -128]]
    real = tmp_path / "real.csv"
    real.write_text("0.06,0.0,1.0,-0.06\n")  # scale 0.05, zero point 3
    assert load_inputs(real, ONE)[0].reshape(-1).tolist() == [4, 3, 23, 2]
    assert load_inputs(real, ONE, rule=QuantisationRule.TRUNCATE)[0].reshape(-1).tolist() == [4, 3, 23, 1]
    assert load_inputs(whole, FLOAT)[0].dtype == np.float32


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short.csv", b"1,2,3,4\n1,2,3\n", "short.csv:2"),
        ("word.csv", b"1,2,3,4\n1,2,x,4\n", "word.csv:2"),
        ("empty.csv", b"a,b,c,d\n", "no row of numbers"),
        ("nan.csv", b"1.0,2.0,3.0,4.0\n1.0,2.0,nan,4.0\n", "nan.csv:2"),
        ("inf.csv", b"1.0,2.0,1e999,4.0\n", "finite"),
        ("large.csv", b"1,2,3,4\n1,2,3,400\n", "large.csv:2"),
        ("largest.csv", b"1,2,3,99999999999999999999999\n", "int8: -128..127"),
        ("python.csv", b"1_0,2,3,4\n", "'1_0'"),
        ("long.csv", b"1" * 200_000 + b",2,3,4\n", "long.csv:1"),
        (
            "vast.npy",
            b"\x93NUMPY\x01\x00v\x00"
            + b"{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999, 4), }".ljust(117)
            + b"\n",
            "fit into memory",
        ),
        ("binary.csv", b"\xff\xfe\x00,1\n", "UTF-8"),
        ("cut.npz", b"PK\x03\x04 not a zip", "cut.npz"),
        ("cut.npy", b"\x93NUMPY\x01\x00", "cut.npy"),
        ("empty.npy", b"", "empty.npy"),
        ("other.txt", b"1 2 3 4", ".npz, .npy, .csv"),
    ],
)
def test_bad_files_are_named_with_their_place(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_inputs(path, ONE)
    assert caught.value.kind == "input-file"
    assert words in str(caught.value)


def test_archives_that_grow_beyond_the_limit_are_refused_before_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfm_harness.parity.inputs.MAX_FILE", 1 << 20)
    np.savez_compressed(tmp_path / "x.npz", input0=np.zeros((1 << 20, 1, 4), np.int8))
    assert (tmp_path / "x.npz").stat().st_size < 1 << 20
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        load_inputs(tmp_path / "x.npz", ONE)
    assert "grows to" in str(caught.value)


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    """Any bit of an archive may be wrong: the error is ours and names the file."""
    np.savez_compressed(tmp_path / "x.npz", input0=np.arange(400, dtype=np.int16).reshape(100, 1, 4) % 100)
    data = (tmp_path / "x.npz").read_bytes()
    rng = np.random.default_rng(8)
    errors: list[str] = []
    for _ in range(300):
        changed = bytearray(data)
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        (tmp_path / "y.npz").write_bytes(changed)
        try:
            load_inputs(tmp_path / "y.npz", ONE)
        except ConfigError as error:
            errors.append(str(error))
    assert len(errors) > 100
    assert all("y.npz" in error for error in errors)


def test_files_as_spreadsheets_write_them(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf1,2,3,4\r\n5,6,7,8\r\n")
    assert load_inputs(tmp_path / "x.csv", ONE)[0].reshape(2, 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{"a": 1}], dtype=object), "plain numeric arrays"),
        (np.array(["a"]), "numbers"),
        (np.zeros((2, 5), np.int8), "(n, 1, 4)"),
        (np.zeros((0, 1, 4), np.int8), "at least one"),
        (np.float64(1), "(n, 1, 4)"),
        (np.full((1, 4), 128, np.int16), "int8: -128..127"),
        (np.full((1, 4), np.inf), "finite"),
    ],
)
def test_bad_arrays_are_named(tmp_path: Path, array: npt.NDArray[Any], words: str) -> None:
    path = tmp_path / "x.npy"
    np.save(path, array)
    with pytest.raises(ConfigError) as caught:
        load_inputs(path, ONE)
    assert words in str(caught.value)


def test_missing_things_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "x.npz", left=np.zeros((1, 6), np.int8), right=np.zeros((1, 6), np.int8))
    for path, words in ((tmp_path / "none.npy", "none.npy"), (tmp_path / "empty", "without .npy")):
        with pytest.raises(ConfigError, match=words):
            load_inputs(path, ONE)
    with pytest.raises(ConfigError, match="'t0' or 'input0'"):
        load_inputs(tmp_path / "x.npz", TWO)
    np.savez(tmp_path / "y.npz", input0=np.zeros((1, 1, 6), np.int8), input1=np.zeros((2, 1, 6), np.int8))
    with pytest.raises(ConfigError, match="as many for each input"):
        load_inputs(tmp_path / "y.npz", TWO)
    with pytest.raises(ConfigError, match="no input file"):
        load_inputs([], ONE)


# --- generator -------------------------------------------------------------------------------------


def narrow_model() -> bytes:
    """Wide input, one saturating int8 output: uniform inputs give few different values."""
    rng = np.random.default_rng(1)
    m = testkit.ModelBuilder()
    source = m.tensor([1, 128], scale=1.0)
    m.inputs, m.outputs = [source], [m.dense(source, 2, rng, scale=0.4)]
    return m.build()


def test_search_finds_more_than_uniform_inputs() -> None:
    model = narrow_model()
    with get_engine() as engine:
        info = engine.info(model, "narrow")

        def run(arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
            return engine.run(model, arrays)

        uniform = np.random.default_rng(1).integers(-128, 128, (200, 1, 128), dtype=np.int8)
        plain = len(np.unique(run([uniform])[0].reshape(200, -1), axis=0))
        found = generate_inputs(info, run, 200, seed=1)
        again = generate_inputs(info, run, 200, seed=1)
        other = generate_inputs(info, run, 200, seed=2)
        assert found.distinct == len(np.unique(run(found.inputs)[0].reshape(200, -1), axis=0))
    assert found.inputs[0].shape == (200, 1, 128)
    assert found.distinct > 3 * plain
    assert (found.inputs[0] == again.inputs[0]).all(), "the same seed gives the same vectors"
    assert (found.inputs[0] != other.inputs[0]).any()


@pytest.mark.parametrize(
    "model", [small_models.two_in_two_out(), small_models.dense("int16"), small_models.dense("float32")]
)
def test_generator_serves_every_type(model: bytes) -> None:
    with get_engine() as engine:
        info = engine.info(model)
        found = generate_inputs(info, lambda a: engine.run(model, a), 30, seed=3)
    assert [a.dtype.name for a in found.inputs] == [t.dtype for t in info.inputs]
    assert all(len(a) == 30 for a in found.inputs)
    assert found.distinct >= 25


def test_generator_starts_from_real_vectors_too() -> None:
    model = small_models.dense(width=4)
    real = np.full((1, 1, 4), 77, np.int8)
    with get_engine() as engine:
        found = generate_inputs(engine.info(model), lambda a: engine.run(model, a), 50, seed=3, like=[real])
    assert (found.inputs[0] == 77).all(axis=(1, 2)).any()
    with pytest.raises(ValueError, match="0 vectors"):
        generate_inputs(ONE, lambda a: a, 0, seed=1)


# --- replay files ----------------------------------------------------------------------------------


def failure(**changes: Any) -> Failure:
    facts: dict[str, Any] = {
        "model": "tam/per",
        "model_sha256": "00" * 32,
        "vectors": (3, 9),
        "inputs": (np.arange(8, dtype=np.int16).reshape(2, 4),),
        "reference": (np.array([[1.5], [np.nan]], np.float32),),
        "device": (np.array([[1.5], [2.5]], np.float32),),
        "engine": {"name": "x"},
        "seed": 4,
        "context": {"target": "t"},
    }
    return Failure(**{**facts, **changes})


def test_failures_survive_the_file(tmp_path: Path) -> None:
    path = save_failure(tmp_path / "deep" / "er", failure())
    assert path.name.startswith("parity-tam_per-")
    back = load_failure(path)
    assert back.vectors == (3, 9)
    assert back.inputs[0].dtype == np.int16
    assert back.inputs[0].tobytes() == failure().inputs[0].tobytes()
    assert back.reference[0].tobytes() == failure().reference[0].tobytes()
    assert back.context == {"target": "t"}
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no temporary file is left"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"},
        {"vectors": [1]},
        {"inputs": []},
        {"inputs": [{"dtype": "object", "shape": [2], "data": ""}]},
        {"inputs": [{"dtype": "int8", "shape": [2, 4], "data": "AA=="}]},
        {"inputs": [{"dtype": "int8", "shape": [2, 4], "data": "?"}]},
        {"inputs": 5},
        {"context": []},
        {"seed": "x"},
    ],
)
def test_damaged_replay_files_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = save_failure(tmp_path, failure())
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigError) as caught:
        load_failure(path)
    assert caught.value.kind == "replay-file"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load_failure(path)
    with pytest.raises(ConfigError):
        load_failure(tmp_path / "missing.json")


def test_unwritable_folder_is_infrastructure(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InfrastructureError) as caught:
        save_failure(blocked / "sub", failure())
    assert caught.value.kind == "replay-write"


@pytest.mark.parametrize(
    "text",
    [
        "1;2;3;4\n5;6;7;8\n",
        "a;b;c;d\n1,0;2,0;3,0;4,0\n5;6;7;8\n",
        "timestamp,a,b,c,d\n0,1,2,3,4\n10,5,6,7,8\n",
        "1\t2\t3\t4\n5\t6\t7\t8\n",
    ],
)
def test_csv_as_loggers_and_spreadsheets_write_it(tmp_path: Path, text: str) -> None:
    for codec in ("utf-8", "utf-16"):
        (tmp_path / "vectors.csv").write_bytes(text.encode(codec))
        (array,) = load_inputs(tmp_path / "vectors.csv", FLOAT)
        assert array.reshape(2, 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
