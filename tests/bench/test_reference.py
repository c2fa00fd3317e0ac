"""What the bench makes of a build's models: state kept over a sequence, one signature of several, halves as weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import yaml
from tfm_harness.bench.metrics import Unkept
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.boards.base import ResetKind
from tfm_harness.cli.main import main
from tfm_harness.config.loading import load_build
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.parity import small_models
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.engines import ReferenceEngine, State
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.model_rewriting import select_signature
from tfm_harness.parity.replay import load_failure

from tests.judged import references
from tests.parity.installed import needs_tflite


class Board:
    """A device that runs `model`, keeps its state or not, and loses it at a reset or (`deaf`) not even then."""

    def __init__(
        self, engine: ReferenceEngine, model: bytes, state: State | None = None, *, deaf: bool = False
    ) -> None:
        self.engine, self.model, self.state, self.deaf = engine, model, state, deaf
        self.fresh, self.resets, self.selected = True, 0, ""
        self.device: Any = SimpleNamespace(test_commands=self, client=SimpleNamespace(features=()))

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        tensor = self.engine.info(self.model).inputs[0]
        arrays = np.frombuffer(b"".join(inputs), tensor.dtype).reshape(len(inputs), *tensor.shape)
        (outputs,) = self.engine.run(self.model, arrays, state=self.state, fresh=self.fresh)
        self.fresh = False
        answers = [output.tobytes() for output in outputs]
        assert len(answers[0]) == output_bytes
        return answers

    def reset(self, kind: ResetKind) -> None:
        assert kind is ResetKind.WARM
        self.resets += 1
        self.fresh = not self.deaf

    def select_again(self, model: str | None) -> None:
        self.selected = model or ""

    def missing(self, wanted: Sequence[str]) -> list[str]:
        return [word for word in wanted if word in {"trace", "provision"}]

    def progress(self, what: str) -> Callable[[int, int], None]:
        assert what
        return lambda done, total: None


@pytest.fixture(scope="module")
def own() -> Iterator[ReferenceEngine]:
    """The device's interpreter: not that of the bench."""
    with get_engine(self_test=False) as found:
        if found.name == "numpy-reference":
            pytest.skip("the NumPy reference computes int8 models without state only")
        yield found


@pytest.fixture
def sources() -> list[str]:
    """Where the inputs of each judgement came from, in words."""
    return []


@pytest.fixture
def judge(tmp_path: Path, sources: list[str]) -> Iterator[Callable[..., tuple[Report, Any]]]:
    measured = Unkept()

    with references(tmp_path) as made:

        def judged(model: bytes, board: Board, **said: Any) -> tuple[Report, Any]:
            (tmp_path / "net.tflite").write_bytes(model)
            build = {"name": "simulated", "models": {"net": {"file": "net.tflite", **said}}}
            (tmp_path / "build.yaml").write_text(yaml.safe_dump(build))
            reference = made(load_build(tmp_path / "build.yaml"), board, measured)
            result = reference.agrees("net", count=60)
            sources.append(measured.parity[-1]["inputs"])
            return reference.report, result

        yield judged


Judge = Callable[..., tuple[Report, Any]]
MEMORY = small_models.remembers()


def test_a_sequence_begins_with_a_reset_of_the_device(judge: Judge, own: ReferenceEngine) -> None:
    board = Board(own, MEMORY, "sequence")
    board.batch([np.full((1, 4), 3, np.float32).tobytes()], 12)  # what ran before leaves something behind
    report, result = judge(MEMORY, board, state="sequence")
    assert report.ok, report.failed
    assert result.comparison.exact
    assert (board.resets, board.selected) == (1, "net")


@pytest.mark.parametrize(
    ("device", "declared", "deaf"),
    [("per-vector", "sequence", False), ("sequence", "per-vector", False), ("sequence", "sequence", True)],
    ids=["forgets", "remembers", "survives a reset"],
)
def test_a_device_that_treats_its_state_otherwise_fails(
    judge: Judge, own: ReferenceEngine, device: State, declared: State, deaf: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Board(own, MEMORY, device, deaf=deaf)
    board.batch([np.full((1, 4), 3, np.float32).tobytes()], 12)
    report, result = judge(MEMORY, board, state=declared)
    assert "parity.bit-exact" in {finding.check.id for finding in report.failed}
    assert main(["replay", str(result.failure)]) == 1
    assert "net: " in capsys.readouterr().out


def test_a_state_about_which_nothing_is_said_is_not_covered(judge: Judge, own: ReferenceEngine) -> None:
    with pytest.raises(NotCovered) as caught:
        judge(MEMORY, Board(own, MEMORY, "sequence"))
    assert "state: sequence" in str(caught.value)


# -- several signatures

SEVERAL = small_models.two_signatures()


def test_the_declared_signature_is_judged(
    judge: Judge, own: ReferenceEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    embed = select_signature(SEVERAL, "embed")
    report, result = judge(SEVERAL, Board(own, embed), signature="embed")
    assert report.ok, report.failed
    assert result.comparison.outputs[0].elements == 60 * 5
    assert result.failure is None
    other = small_models.two_signatures(seed=22)
    report, result = judge(SEVERAL, Board(own, select_signature(other, "embed")), signature="embed")
    assert not report.ok
    assert main(["replay", str(result.failure)]) == 1
    assert "FULLY_CONNECTED" in capsys.readouterr().out


def test_several_signatures_without_a_word_are_not_covered(judge: Judge, own: ReferenceEngine) -> None:
    with pytest.raises(NotCovered) as caught:
        judge(SEVERAL, Board(own, SEVERAL))
    assert "'classify', 'embed'" in str(caught.value)
    assert "say `signature`" in str(caught.value)


def test_a_signature_that_the_model_has_not_is_found_by_check(judge: Judge, own: ReferenceEngine) -> None:
    for model, words in ((SEVERAL, "one of classify, embed"), (small_models.dense(), "a model with signatures")):
        with pytest.raises(ConfigError) as caught:
            judge(model, Board(own, model), signature="serve")
        assert words in str(caught.value)
        assert "models.net.signature" in str(caught.value)


@needs_tflite
def test_the_signature_gives_what_tflites_own_runner_gives() -> None:
    from importlib import import_module

    package = next(name for name in ("tflite_runtime", "ai_edge_litert") if _has(name))
    api = import_module(f"{package}.interpreter")
    kind = api.OpResolverType.BUILTIN_REF
    runner = api.Interpreter(model_content=SEVERAL, experimental_op_resolver_type=kind).get_signature_runner("embed")
    inputs = np.random.default_rng(4).integers(-128, 128, (20, 1, 16), dtype=np.int8)
    with get_engine() as engine:
        (ours,) = engine.run(select_signature(SEVERAL, "embed"), inputs)
    assert np.array_equal(ours, np.stack([runner(x0=vector)["y0"] for vector in inputs]))


def _has(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def test_damage_is_an_error_of_ours_or_none() -> None:
    for number in range(len(SEVERAL)):
        damaged = SEVERAL[:number] + bytes([SEVERAL[number] ^ 0xFF]) + SEVERAL[number + 1 :]
        try:
            parse_model(select_signature(damaged, "embed"))
        except ConfigError:
            continue


def test_what_each_operator_should_give_is_kept_where_the_device_gives_no_trace(
    judge: Judge, own: ReferenceEngine, tmp_path: Path
) -> None:
    model = small_models.classifier()

    class OneLogitOff(Board):
        def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
            (logits, probabilities) = self.engine.run(
                self.model, np.frombuffer(b"".join(inputs), np.int8).reshape(-1, 1, 1, 96, 2)
            )
            return [
                bytes([x.tobytes()[0] ^ 1]) + x.tobytes()[1:] + y.tobytes()
                for x, y in zip(logits, probabilities, strict=True)
            ]

    _, result = judge(model, OneLogitOff(own, model))
    assert result.first_op is None
    (path,) = tmp_path.glob("operators-net-*.json")
    assert path.name in result.undiagnosed
    table = json.loads(path.read_text())
    assert [row["operator"] for row in table["operators"]] == [str(op) for op in parse_model(model).operators]
    vector = load_failure(result.failure).inputs[0][:1]
    with get_engine() as engine:
        for row, op in zip(table["operators"], parse_model(model).operators, strict=True):
            (value,) = engine.tensors(model, [vector], [op.outputs[0]])
            assert row["crc32"] == f"{crc32(value.tobytes()):08x}"
            assert (row["min"], row["max"]) == (value.min(), value.max())
            assert row["oracles"] in {"agree", "no second opinion"}


def test_inputs_that_split_device_and_reference_come_first_the_next_time(
    judge: Judge, own: ReferenceEngine, sources: list[str], tmp_path: Path
) -> None:
    model = small_models.classifier()
    right, other = Board(own, model), small_models.classifier(seed=8)

    def batch(inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        vectors = np.frombuffer(b"".join(inputs), np.int8).reshape(-1, 1, 1, 96, 2)
        outputs = own.run(right.model, vectors)
        rows = [b"".join(part.tobytes() for part in parts) for parts in zip(*outputs, strict=True)]
        assert len(rows[0]) == output_bytes
        return rows

    right.batch = batch  # type: ignore[method-assign] # a model of two outputs
    right.model = other
    report, result = judge(model, right)
    assert not report.ok
    assert "edges of the arithmetic reached" in sources[-1]
    assert "split two implementations before" not in sources[-1]
    failing = load_failure(result.failure).inputs[0]
    right.model = model
    report, result = judge(model, right)
    assert report.ok, report.failed
    assert "15 that split two implementations before" in sources[-1], "a quarter of 60"
    path = max(tmp_path.glob("vectors-*.json"), key=_age)
    assert load_failure(path).inputs[0][:15].tobytes() == failing[:15].tobytes()
    assert list(tmp_path.glob("edges-net-*.json"))


def _age(path: Path) -> int:
    return path.stat().st_mtime_ns


# -- halves as weights, int16 activations


def test_weights_stored_as_halves(judge: Judge, own: ReferenceEngine) -> None:
    half = small_models.half_weights()
    with get_engine() as engine:
        if engine.name == "tflite-micro":
            pytest.skip("the engine of this Python is tflite-micro, which refuses halves (the next test)")
        report, _ = judge(half, Board(own, half))
        assert report.ok, report.failed
        report, _ = judge(half, Board(own, small_models.half_weights(seed=32)))
        assert "parity.bit-exact" in {finding.check.id for finding in report.failed}
        (middle,) = engine.tensors(half, [np.ones((1, 1, 8), np.float32)], [2])
    assert middle.dtype == np.float32


def test_an_engine_without_halves_refuses_with_words() -> None:
    try:
        engine = get_engine("tflite-micro")
    except InfrastructureError as error:
        pytest.skip(f"tflite-micro: {error.message}")
    with engine, pytest.raises(InfrastructureError) as caught:
        engine.run(small_models.half_weights(), np.ones((1, 1, 8), np.float32), name="halves")
    assert caught.value.kind == "engine-refused-model"
    assert "halves" in str(caught.value)


def test_int16_activations(judge: Judge, own: ReferenceEngine) -> None:
    model = small_models.dense("int16")
    report, result = judge(model, Board(own, model))
    assert report.ok, report.failed
    assert result.comparison.outputs[0].dtype == "int16"
    report, _ = judge(model, Board(own, small_models.dense("int16", seed=9)))
    assert not report.ok
