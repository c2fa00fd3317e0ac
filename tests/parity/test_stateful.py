"""Models that keep state from one inference to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Report
from tfm_harness.parity import small_models, testkit
from tfm_harness.parity.engine_choice import get_engine, second_oracle
from tfm_harness.parity.engines import ReferenceEngine, State
from tfm_harness.parity.generate import generate_inputs
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.replay import load_failure
from tfm_harness.parity.session import SessionResult, run_session

MODEL = small_models.remembers()
INPUTS = Path(__file__).resolve().parents[3] / "shared" / "inputs"


@pytest.fixture(scope="module")
def engine() -> Iterator[ReferenceEngine]:
    with get_engine() as found:
        if found.name == "numpy-reference":
            pytest.skip("the NumPy reference computes no stateful models, and no other reference is installed")
        yield found


class Device:
    """A device that treats its state as `state` says; `wrong` changes the outputs of one vector and all after it."""

    def __init__(self, engine: ReferenceEngine, model: bytes, state: State, wrong: int | None = None) -> None:
        self.engine, self.model, self.state, self.wrong, self.count = engine, model, state, wrong, 0

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        info = self.engine.info(self.model)
        tensor = info.inputs[0]
        answers = []
        with get_engine(self.engine.name, self_test=False) as own:
            arrays = np.frombuffer(b"".join(inputs), tensor.dtype).reshape(len(inputs), *tensor.shape)
            outputs = own.run(self.model, arrays, state=self.state)[0]
        for output in outputs:
            data = output.tobytes()
            if self.wrong is not None and self.count >= self.wrong:
                data = bytes([data[0] ^ 0x40]) + data[1:]
            assert len(data) == output_bytes
            answers.append(data)
            self.count += 1
        return answers


def session(
    engine: ReferenceEngine, model: bytes, device: Device, state: State | None, tmp_path: Path, **more: Any
) -> tuple[SessionResult, Report]:
    report = Report()
    info = engine.info(model)
    run = lambda arrays: engine.run(model, arrays, state=state)  # noqa: E731 - as the bench has it
    found = generate_inputs(info, run, 40, seed=1)
    result = run_session(
        engine, model, found.inputs, device.batch, report, name="memory", save_to=tmp_path, state=state, seed=1, **more
    )
    return result, report


def test_state_is_detected() -> None:
    assert parse_model(MODEL).state == ("variable tensor t4",)
    assert parse_model(small_models.dense()).state == ()
    b = testkit.ModelBuilder()
    source, out = b.tensor([1, 4]), b.tensor([1, 4])
    b.op("ADD", [source, source], [out])
    b.inputs, b.outputs = [source], [out]
    assert not parse_model(b.build()).stateful


@pytest.mark.parametrize("state", ["per-vector", "sequence"])
def test_a_right_device_passes_and_the_other_way_fails(engine: ReferenceEngine, state: State, tmp_path: Path) -> None:
    result, report = session(engine, MODEL, Device(engine, MODEL, state), state, tmp_path)
    assert result.comparison.passed, report.failed
    other: State = "sequence" if state == "per-vector" else "per-vector"
    result, _ = session(engine, MODEL, Device(engine, MODEL, other), state, tmp_path)
    assert not result.comparison.passed


def test_undeclared_is_refused_in_words(engine: ReferenceEngine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        session(engine, MODEL, Device(engine, MODEL, "sequence"), None, tmp_path)
    assert caught.value.kind == "model-stateful"
    assert "state: per-vector" in str(caught.value)


def test_a_sequence_goes_on_over_chunks(engine: ReferenceEngine) -> None:
    vectors = np.random.default_rng(1).normal(size=(150, 1, 4)).astype(np.float32)
    whole = engine.run(MODEL, vectors, state="sequence")[0]
    parts = [engine.run(MODEL, vectors[at : at + 70], state="sequence", fresh=at == 0)[0] for at in range(0, 150, 70)]
    assert np.array_equal(whole, np.concatenate(parts))
    alone = engine.run(MODEL, vectors)[0]
    assert np.array_equal(whole[0], alone[0])
    assert not np.array_equal(whole[1:], alone[1:])
    # What a tensor holds in the middle of a sequence.
    info = engine.info(MODEL)
    middle = engine.tensors(MODEL, [vectors[100:101]], [info.outputs[0].index], before=[vectors[:100]])
    assert np.array_equal(middle[0], whole[100])


def test_both_oracles_agree(engine: ReferenceEngine) -> None:
    oracle = second_oracle(engine.name)
    absent = "no second reference that computes stateful models is installed"
    if oracle is None:
        pytest.skip(absent)
    with oracle:
        if oracle.name == "numpy-reference":
            pytest.skip(absent)
        vectors = np.random.default_rng(2).normal(size=(30, 1, 4)).astype(np.float32)
        for state in ("per-vector", "sequence"):
            ours, theirs = (e.run(MODEL, vectors, state=state)[0] for e in (engine, oracle))
            assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("state", ["per-vector", "sequence"])
def test_a_failure_is_saved_with_what_went_before_and_replayed(
    engine: ReferenceEngine, state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "memory.tflite").write_bytes(MODEL)
    device = Device(engine, MODEL, state, wrong=7)
    result, _ = session(engine, MODEL, device, state, tmp_path, context={"model": str(tmp_path / "memory.tflite")})
    assert result.failure is not None
    failure = load_failure(result.failure)
    assert failure.state == state
    assert failure.vectors[0] == (0 if state == "sequence" else 7)
    assert main(["replay", str(result.failure), "--engine", engine.name]) == 1
    assert "memory: " in capsys.readouterr().out


def test_a_trace_of_a_sequence_is_not_asked_for(engine: ReferenceEngine, tmp_path: Path) -> None:
    class Trace:
        def trace(self, data: bytes) -> list[tuple[int, int, int, int]]:
            raise AssertionError(f"a trace of {len(data)} bytes was asked for")

        def trace_output(self, data: bytes, op: int) -> bytes:
            raise AssertionError(f"operator {op} of {len(data)} bytes was asked for")

    device = Device(engine, MODEL, "sequence", wrong=7)
    result, _ = session(engine, MODEL, device, "sequence", tmp_path, trace=Trace())
    assert "depends on the 7 before it" in result.undiagnosed


def test_the_given_stateful_model(engine: ReferenceEngine, tmp_path: Path) -> None:
    path = INPUTS / "stateful-svdf.tflite"
    if not path.is_file():
        pytest.skip("inputs/stateful-svdf.tflite is not present beside the checkout")
    model = path.read_bytes()
    assert parse_model(model).stateful
    for state in ("per-vector", "sequence"):
        result, report = session(engine, model, Device(engine, model, state), state, tmp_path)
        assert result.comparison.passed, report.failed


def test_the_given_pointer_is_named() -> None:
    path = INPUTS / "lfs-pointer.tflite"
    if not path.is_file():
        pytest.skip("inputs/lfs-pointer.tflite is not present beside the checkout")
    with pytest.raises(ConfigError) as caught:
        parse_model(path.read_bytes(), name=path.name)
    assert "Git LFS pointer" in (caught.value.hint or "")


def test_what_is_no_model_is_named() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n"
    others = {
        "Git LFS pointer": pointer,
        "HTML page": b"<!DOCTYPE html><html></html>",
        "zip archive": b"PK\x03\x04" + bytes(60),
        "C array": b"const unsigned char m[] = {",
        "plain text": b"Weights: see the other mail.\n",
    }
    for words, data in others.items():
        with pytest.raises(ConfigError) as caught:
            parse_model(data)
        assert words in (caught.value.hint or "")
