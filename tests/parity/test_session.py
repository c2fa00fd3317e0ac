"""Sessions against simulator devices: right ones, and each kind of wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pytest
from tfm_harness.errors import ConfigError, InfrastructureError, ProductError
from tfm_harness.findings import Report
from tfm_harness.parity import small_models
from tfm_harness.parity.engine_choice import get_engine, second_oracle
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.firstop import check_trace, first_op_by_oracle, operator_table
from tfm_harness.parity.replay import load_failure
from tfm_harness.parity.session import run_session
from tfm_harness.parity.tolerance import Tolerance

from tests.parity.installed import OPTIMISED, needs_optimised

MODEL = small_models.classifier()
Outputs = list[npt.NDArray[Any]]


@pytest.fixture(scope="module")
def engine() -> Iterator[ReferenceEngine]:
    with get_engine() as found:
        yield found


class Device:
    """Runs a model on the reference kernels, as a right device would; `spoil` makes it a wrong one.

    `spoil` gets the outputs of all operators of one inference and changes them in place, after which
    nothing is recomputed: good enough for a trace's first difference.
    """

    def __init__(self, model: bytes, spoil: Callable[[Outputs], None] | None = None) -> None:
        self.engine = get_engine()
        self.model = model
        self.info = self.engine.info(model, "device")
        self.spoil = spoil
        self.batches: list[int] = []

    def operators(self, data: bytes) -> Outputs:
        tensor = self.info.inputs[0]
        inputs = np.frombuffer(data, tensor.dtype).reshape(1, *tensor.shape)
        found = self.engine.tensors(self.model, [inputs], [op.outputs[0] for op in self.info.operators])
        found = [f.copy() for f in found]
        if self.spoil:
            self.spoil(found)
        return found

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        self.batches.append(len(inputs))
        assert output_bytes == self.info.output_bytes
        answers = []
        for data in inputs:
            by_tensor = dict(zip([op.outputs[0] for op in self.info.operators], self.operators(data), strict=True))
            answers.append(b"".join(by_tensor[t.index].tobytes() for t in self.info.outputs))
        return answers

    def trace(self, data: bytes) -> list[tuple[int, int, int, int]]:
        return [
            (op.index, op.code, out.nbytes, crc32(out.tobytes()))
            for op, out in zip(self.info.operators, self.operators(data), strict=True)
        ]

    def trace_output(self, data: bytes, op: int) -> bytes:
        return self.operators(data)[op].tobytes()


@pytest.fixture
def device() -> Iterator[Callable[..., Device]]:
    made: list[Device] = []

    def make(model: bytes = MODEL, spoil: Callable[[Outputs], None] | None = None) -> Device:
        made.append(Device(model, spoil))
        return made[-1]

    yield make
    for one in made:
        one.engine.close()


def vectors(count: int = 60) -> npt.NDArray[np.int8]:
    return np.random.default_rng(9).integers(-128, 128, (count, 1, 1, 96, 2), dtype=np.int8)


def failed(report: Report) -> list[str]:
    return [f.id for f in report.failed]


def test_a_right_device_passes(engine: ReferenceEngine, device: Callable[..., Device], tmp_path: Path) -> None:
    report, seen, good = Report(), [], device()
    result = run_session(
        engine,
        MODEL,
        vectors(),
        good.batch,
        report,
        name="classifier",
        trace=good,
        progress=lambda done, total: seen.append((done, total)),
        save_to=tmp_path,
        seed=9,
    )
    assert report.ok
    assert result.comparison.exact
    assert result.comparison.vectors == 60
    assert result.first_op is None
    assert result.failure is None
    assert list(tmp_path.iterdir()) == []
    assert seen[0] == (0, 60)
    assert seen[-1] == (60, 60)
    assert result.as_dict()["seed"] == 9
    assert result.vectors_per_second > 0


@pytest.mark.parametrize("count", [1, 61, 400])
def test_the_second_half_is_asked_for_when_the_device_has_had_the_first(
    engine: ReferenceEngine, device: Callable[..., Device], tmp_path: Path, count: int
) -> None:
    good, given, asked = device(), vectors(count), []
    other = given[count // 2 :][::-1].copy()
    done: list[tuple[int, int]] = []

    def second_half() -> list[npt.NDArray[np.int8]]:
        asked.append(sum(good.batches))
        return [other]

    result = run_session(
        engine, MODEL, given, good.batch, Report(), name="classifier", second_half=second_half, keep_to=tmp_path,
        progress=lambda done_now, total: done.append((done_now, total)),
    )  # fmt: skip
    assert asked == [count // 2]
    assert result.comparison.exact
    assert result.vectors_file is not None
    kept = load_failure(result.vectors_file)
    assert np.array_equal(kept.inputs[0], np.concatenate([given[: count // 2], other]))
    assert np.array_equal(kept.reference[0], engine.run(MODEL, kept.inputs)[0])
    assert (done[0], done[-1]) == ((0, count), (count, count))
    assert max(good.batches) * 192 <= 32_000


def test_a_difference_in_the_second_half_is_found(engine: ReferenceEngine, device: Callable[..., Device]) -> None:
    def wrong(outputs: Outputs) -> None:
        outputs[-1].ravel()[0] ^= 1

    bad, report = device(spoil=wrong), Report()
    good = device()

    def batch(inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        return (bad if sum(good.batches) >= 20 else good).batch(inputs, output_bytes)

    given = vectors(40)
    result = run_session(engine, MODEL, given, batch, report, name="classifier", second_half=lambda: [given[20:]])
    assert result.comparison.failing == tuple(range(20, 40))


def test_a_second_half_of_another_length_is_an_error(engine: ReferenceEngine, device: Callable[..., Device]) -> None:
    with pytest.raises(ValueError, match="19 vectors in place of 20"):
        run_session(
            engine, MODEL, vectors(40), device().batch, Report(), name="classifier",
            second_half=lambda: [vectors(19)],
        )  # fmt: skip


def test_vectors_go_in_chunks(engine: ReferenceEngine, device: Callable[..., Device]) -> None:
    good = device()
    run_session(engine, MODEL, vectors(400), good.batch, Report(), name="classifier")
    assert sum(good.batches) == 400
    assert max(good.batches) * 192 <= 32_000


def softmax_off_by_one(outputs: Outputs) -> None:
    outputs[4][0, 2] = np.clip(int(outputs[4][0, 2]) + 1, -128, 127)


def conv_rounds_down(outputs: Outputs) -> None:
    outputs[0].reshape(-1)[5] ^= 1
    outputs[3].reshape(-1)[0] ^= 3


@pytest.mark.parametrize(("spoil", "op"), [(softmax_off_by_one, "op 4 SOFTMAX"), (conv_rounds_down, "op 0 CONV_2D")])
def test_a_wrong_kernel_is_named(
    engine: ReferenceEngine,
    device: Callable[..., Device],
    tmp_path: Path,
    spoil: Callable[[Outputs], None],
    op: str,
) -> None:
    report, bad = Report(), device(spoil=spoil)
    result = run_session(
        engine, MODEL, vectors(), bad.batch, report, name="classifier", trace=bad, save_to=tmp_path, seed=9
    )
    assert "parity.bit-exact" in failed(report)
    assert "parity.op-outputs" in failed(report)
    assert next(f for f in report.failed if f.id == "parity.op-outputs").where == op
    assert str(result.first_op).startswith(op)
    assert "max 1 LSB" in str(result.first_op)
    # what failed is saved, and can be read again
    assert result.failure is not None
    saved = load_failure(result.failure)
    assert saved.model == "classifier"
    assert saved.seed == 9
    first = saved.vectors[0]
    assert (saved.inputs[0][0] == vectors()[first]).all()
    assert saved.engine["resolver"] == engine.record.resolver
    assert (saved.reference[0] != saved.device[0]).any() or (saved.reference[1] != saved.device[1]).any()


def test_another_model_is_seen_in_the_graph(engine: ReferenceEngine, device: Callable[..., Device]) -> None:
    model = small_models.dense(width=16, units=8, layers=2)
    other = device(small_models.dense(width=16, units=8, layers=3))
    report = Report()
    inputs = np.random.default_rng(1).integers(-128, 128, (40, 1, 16), dtype=np.int8)
    run_session(engine, model, inputs, other.batch, report, name="dense", trace=other)
    assert "parity.bit-exact" in failed(report)
    graph = next(f for f in report.failed if f.id == "parity.model-graph")
    assert graph.expected.startswith("2 operators")
    assert graph.seen.startswith("3 operators")


def test_same_graph_with_one_other_weight(engine: ReferenceEngine, device: Callable[..., Device]) -> None:
    info = engine.info(MODEL, "classifier")
    (weights,) = engine.tensors(MODEL, [vectors(1)], [info.operators[2].inputs[1]])
    changed = bytearray(MODEL)
    changed[MODEL.index(weights.tobytes()) + 17] ^= 0x40
    other = device(bytes(changed))
    report = Report()
    run_session(engine, MODEL, vectors(), other.batch, report, name="classifier", trace=other)
    assert next(f for f in report.failed if f.id == "parity.op-outputs").where == "op 2 FULLY_CONNECTED"


@needs_optimised
def test_without_trace_the_second_oracle_clears_the_kernels(
    engine: ReferenceEngine, device: Callable[..., Device]
) -> None:
    oracle = second_oracle()
    if oracle is None:
        pytest.skip("the tflite-micro wheel is not installed (extra: second-oracle)")
    bad, report = device(spoil=softmax_off_by_one), Report()
    with oracle:
        result = run_session(engine, MODEL, vectors(20), bad.batch, report, name="classifier", oracle=oracle)
        assert result.first_op is None, "both oracles agree: the difference was made on the device"
        with ReferenceEngine(OPTIMISED, self_test=False) as optimised:
            found = next(
                f
                for v in vectors(40)
                if (f := first_op_by_oracle(oracle, optimised, MODEL, [v[np.newaxis]], name="classifier"))
            )
    assert found.operator.index <= 4
    assert "AUTO" in found.source


def test_what_a_tolerance_excuses_does_not_fail_by_its_operator(
    engine: ReferenceEngine, device: Callable[..., Device]
) -> None:
    granted = Tolerance(name="t", op="SOFTMAX", max_lsb=1, reason="measured on this board")
    bad, report = device(spoil=softmax_off_by_one), Report()
    result = run_session(
        engine, MODEL, vectors(), bad.batch, report, name="classifier", trace=bad, tolerances=[granted]
    )
    assert report.ok, [f"{f.id}: {f.seen}" for f in report.failed]
    assert result.first_op is not None, "still named"
    assert result.first_op.operator.name == "SOFTMAX"


def test_a_diagnosis_that_fails_takes_no_evidence_with_it(
    engine: ReferenceEngine, device: Callable[..., Device], tmp_path: Path
) -> None:
    """The device refuses its trace and the second oracle breaks: verdict and replay file stand, with the reasons."""
    bad, report = device(spoil=softmax_off_by_one), Report()

    class Mute:
        def trace(self, data: bytes) -> list[tuple[int, int, int, int]]:
            raise ProductError("the firmware refused trace", kind="refused")

        def trace_output(self, data: bytes, op: int) -> bytes:
            raise AssertionError("not asked for")

    def broken() -> ReferenceEngine:
        raise InfrastructureError("the oracle crashed", kind="engine-crash")

    result = run_session(
        engine,
        MODEL,
        vectors(20),
        bad.batch,
        report,
        name="classifier",
        trace=Mute(),
        oracle=broken,
        save_to=tmp_path,
    )
    assert failed(report) == ["parity.bit-exact"] * 1
    assert result.first_op is None
    assert "the firmware refused trace" in result.undiagnosed
    assert "the oracle crashed" in result.undiagnosed
    assert result.failure is not None
    assert load_failure(result.failure).vectors


@needs_optimised
def test_the_second_oracle_names_the_operator_its_kernels_differ_in(
    engine: ReferenceEngine, device: Callable[..., Device]
) -> None:
    """A device that computes as the other engine does: the first operator on which the two engines differ."""
    other = device()
    other.engine.close()
    other.engine = ReferenceEngine(OPTIMISED, self_test=False)
    report = Report()
    with ReferenceEngine(OPTIMISED, self_test=False) as optimised:
        result = run_session(
            engine, MODEL, vectors(60), other.batch, report, name="classifier", oracle=lambda: optimised
        )
    assert result.first_op is not None
    assert result.undiagnosed == ""
    named = next(f for f in report.failed if f.id == "parity.op-outputs")
    assert named.where == str(result.first_op.operator)


def test_constant_inputs_are_found_in_a_session(engine: ReferenceEngine, device: Callable[..., Device]) -> None:
    report = Report()
    run_session(engine, MODEL, np.zeros((30, 1, 1, 96, 2), np.int8), device().batch, report, name="classifier")
    assert {"parity.distinct-outputs", "parity.constant-inputs"} <= set(failed(report))


def test_faults_keep_their_owner(engine: ReferenceEngine) -> None:
    def lost(_inputs: Sequence[bytes], _size: int) -> list[bytes]:
        raise InfrastructureError("no answer", kind="smp-timeout")

    def refused(_inputs: Sequence[bytes], _size: int) -> list[bytes]:
        raise ProductError("refused", kind="smp-error")

    for batch, error in ((lost, InfrastructureError), (refused, ProductError)):
        with pytest.raises(error):
            run_session(engine, MODEL, vectors(4), batch, Report(), name="classifier")
    with pytest.raises(ConfigError, match="wrong type"):
        run_session(engine, MODEL, vectors(4).astype(np.int16), lost, Report(), name="classifier")


def test_trace_of_a_right_device_passes(engine: ReferenceEngine, device: Callable[..., Device]) -> None:
    report = Report()
    assert check_trace(engine, MODEL, [vectors(1)], device(), report, name="classifier") is None
    assert report.ok
    assert [f.id for f in report] == ["parity.model-graph", "parity.op-outputs"]


def test_trace_with_a_short_output_still_names_the_op(
    engine: ReferenceEngine, device: Callable[..., Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = device(spoil=softmax_off_by_one)
    monkeypatch.setattr(bad, "trace_output", lambda _data, _op: b"\x00")
    report = Report()
    found = check_trace(engine, MODEL, [vectors(1)], bad, report, name="classifier")
    assert found is not None
    assert found.operator.name == "SOFTMAX"
    assert not report.ok


def test_a_second_oracle_that_refuses_leaves_the_first_ones_values() -> None:
    """tflite-micro refuses weights of float16: what each operator should give is told all the same."""

    class Refuses:
        rounding = 0.0

        def tensors(self, *_: object, **__: object) -> None:
            raise InfrastructureError("reference engine other refuses it", kind="engine-refused-model")

    with get_engine() as engine:
        rows = operator_table(engine, Refuses(), small_models.dense(), [np.zeros((1, 1, 16), np.int8)])  # type: ignore[arg-type]
    assert {row["oracles"] for row in rows} == {"no second opinion: reference engine other refuses it"}
    assert rows[0]["operator"] == "op 0 FULLY_CONNECTED"
