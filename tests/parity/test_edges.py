"""Edges of the arithmetic: measured right, searched for, and enough to tell wrong kernels apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pytest
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.parity import small_models
from tfm_harness.parity.corpus import keep, kept
from tfm_harness.parity.edges import Coverage, check_edges, reach
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.generate import generate_inputs
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.numpy_reference import interpreter, operators
from tfm_harness.parity.numpy_reference.edges import EDGES, WATCH, Watch
from tfm_harness.parity.numpy_reference.fixed_point import Multiplier, Multipliers, doubling_high_mul
from tfm_harness.parity.numpy_reference.softmax import softmax as true_softmax
from tfm_harness.parity.session import run_session
from tfm_harness.testing.one_operator import GENERATORS

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def measurer() -> Iterator[ReferenceEngine]:
    with ReferenceEngine("numpy-reference") as found:
        yield found


def reached(sums: Sequence[int], multipliers: Sequence[Multiplier], zero: int = 0) -> set[str]:
    watch = Watch(1)
    watch.requantised(np.array([sums]), Multipliers(multipliers), zero, (-128, 127))
    return {name for name, hit in zip(EDGES, watch.hit[0], strict=True) if hit == 1}


QUARTER = Multiplier.of(0.25)


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ([4], set()),
        ([0], {"zero point"}),
        ([6], {"positive tie", "fraction dropped"}),  # 1.5
        ([-6], {"negative tie", "double rounding"}),  # -1.5: away from zero is -2, halves up -1
        ([-5], {"fraction dropped"}),  # -1.25: nearest -1, floor -2
        ([600], {"clamped high"}),
        ([-600], {"clamped low"}),
        ([40000], {"clamped high", "accumulator over 16 bits"}),
    ],
)
def test_each_edge_is_seen_where_it_is(sums: list[int], expected: set[str]) -> None:
    assert reached(sums, [QUARTER]) == expected


def test_the_last_channel_is_told_from_its_neighbour() -> None:
    assert "last channel" in reached([10, 100], [QUARTER, Multiplier.of(0.5)])
    assert "last channel" not in reached([10, 0], [QUARTER, Multiplier.of(0.5)])
    assert "last channel" not in reached([10, 100], [QUARTER, QUARTER])


def test_watching_changes_no_number(measurer: ReferenceEngine) -> None:
    model = interpreter.Interpreter(small_models.classifier())
    vector = np.random.default_rng(1).integers(-128, 128, (1, 1, 96, 2), dtype=np.int8)
    before = [a.tobytes() for a in model.run([vector])]
    assert model.edges([vector]).shape == (5, len(EDGES))
    assert WATCH.get() is None
    assert [a.tobytes() for a in model.run([vector])] == before


def test_vectors_that_reach_little_are_widened(measurer: ReferenceEngine) -> None:
    model = small_models.classifier()
    info = measurer.info(model)
    names: list[str] = []

    def measure(arrays: list[Array]) -> Array:
        found_names, found = measurer.edges(model, arrays)
        names[:] = found_names
        return found

    poor = [np.full((8, *info.inputs[0].shape), -5, np.int8)]  # the zero point, eight times
    before = Coverage.of(EDGES, measure(poor))
    extra, measured = reach(info, poor, measure, seed=3)
    after = Coverage.of(names, measured)
    assert before.reached < after.reached
    assert 0 < len(extra[0]) <= 64
    again, _ = reach(info, poor, measure, seed=3)
    assert again[0].tobytes() == extra[0].tobytes(), "the same seed finds the same vectors"
    for coverage in (before, after):
        report = Report()
        check_edges(coverage, info, report, subject="net")
        assert report.findings[0].passed == (not coverage.missing(info))
        assert report.ok, "what cannot be reached is a note"
    assert "CONV_2D" in " ".join(before.missing(info))
    assert set(after.as_dict(info)) == {str(op) for op in info.operators}


def test_other_engines_and_models_say_that_they_are_not_measured(measurer: ReferenceEngine) -> None:
    with pytest.raises(InfrastructureError) as caught:
        measurer.edges(small_models.dense("float32"), np.zeros((1, 1, 16), np.float32))
    assert caught.value.kind == "engine-refused-model"


# -- wrong kernels: each is caught, and the operator named


def _half_up(x: Array, exponent: Any) -> Array:
    exponent = np.asarray(exponent, np.int64)
    return np.where(exponent > 0, (x + (np.int64(1) << np.maximum(exponent - 1, 0))) >> exponent, x)


def _wrap_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    real = operators._requantise

    def wrong(sums: Array, multipliers: Any, zero: int, limits: Any) -> Array:
        return real(sums, multipliers, zero, (-(1 << 40), 1 << 40)).astype(np.int8).astype(np.int64)

    monkeypatch.setattr(operators, "_requantise", wrong)


def _negative_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(self: Multipliers, x: Array) -> Array:
        high = doubling_high_mul(np.asarray(x, np.int64) << np.maximum(self.shifts, 0), self.significands)
        return _half_up(high, np.maximum(-self.shifts, 0))

    monkeypatch.setattr(Multipliers, "apply", apply)


def _last_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    real = operators._requantise

    def wrong(sums: Array, multipliers: Any, zero: int, limits: Any) -> Array:
        each = multipliers.each
        return real(sums, Multipliers([*each[:-1], each[-2]]) if len(each) > 1 else multipliers, zero, limits)

    monkeypatch.setattr(operators, "_requantise", wrong)


def _narrow_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    real = operators._requantise

    def wrong(sums: Array, multipliers: Any, zero: int, limits: Any) -> Array:
        return real(np.asarray(sums).astype(np.int16).astype(np.int64), multipliers, zero, limits)

    monkeypatch.setattr(operators, "_requantise", wrong)


def _softmax_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    real = true_softmax

    def wrong(x: Array, **said: Any) -> Array:
        output = real(x, **said)
        return np.where(output == -128, -127, output)  # a table that ends one step early

    monkeypatch.setattr(interpreter, "softmax", wrong)


def _odd_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    real = operators.Window.of.__func__  # type: ignore[attr-defined]

    def wrong(cls: Any, extent: int, size: int, stride: int, dilation: int, *, same: bool) -> Any:
        window = real(cls, extent, size, stride, dilation, same=same)
        reach = (window.size - 1) * window.dilation + 1
        missing = max((window.out - 1) * window.stride + reach - extent, 0) if same else 0
        return cls(window.size, window.stride, window.dilation, missing - missing // 2, window.out)

    monkeypatch.setattr(operators.Window, "of", classmethod(wrong))


def padded_convolution() -> bytes:
    """A convolution with SAME padding of which there is an odd number of columns."""
    for seed in range(2000):
        graph = GENERATORS["CONV_2D"](np.random.default_rng(seed))
        model = graph.build()
        shape = parse_model(model).inputs[0].shape
        if shape[1] * shape[2] < 12 or not _odd(model):
            continue
        vectors = np.random.default_rng(1).integers(-128, 128, (16, *shape), dtype=np.int8)
        runner = interpreter.Interpreter(model)
        if len({runner.run([vector])[0].tobytes() for vector in vectors}) == 16:
            return model
    raise AssertionError("no such graph among 2000")


def _odd(model: bytes) -> bool:
    import tflite

    graph = tflite.Model.GetRootAs(model, 0).Subgraphs(0)
    table = graph.Operators(0).BuiltinOptions()
    options = tflite.Conv2DOptions()
    options.Init(table.Bytes, table.Pos)
    rows, columns = graph.Tensors(graph.Operators(0).Inputs(1)).ShapeAsNumpy()[1:3]
    extent = graph.Tensors(graph.Operators(0).Inputs(0)).ShapeAsNumpy()[2]
    reach_of = (columns - 1) * options.DilationWFactor() + 1
    out = -(-extent // options.StrideW())
    missing = max((out - 1) * options.StrideW() + reach_of - extent, 0)
    return bool(options.Padding() == tflite.Padding.SAME and missing % 2 == 1 and rows * columns > 1)


class Device:
    """A device with the kernels as they stand, wrong ones included; it gives traces."""

    def __init__(self, model: bytes) -> None:
        self.info = parse_model(model)
        self.model = interpreter.Interpreter(model)
        self.codes = [op.code for op in self.info.operators]

    def _values(self, data: bytes) -> dict[int, Array]:
        tensor = self.info.inputs[0]
        values: dict[int, Array] = {t.index: t.data for t in self.model._tensors if t.data is not None}
        values[tensor.index] = np.frombuffer(data, np.int8).astype(np.int64).reshape(tensor.shape)
        for step in self.model._steps:
            step(values)
        return values

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        found = [self._values(data) for data in inputs]
        answers = [b"".join(v[t.index].astype(np.int8).tobytes() for t in self.info.outputs) for v in found]
        assert len(answers[0]) == output_bytes
        return answers

    def trace(self, data: bytes) -> list[tuple[int, int, int, int]]:
        outputs = [self.trace_output(data, op.index) for op in self.info.operators]
        return [(n, self.codes[n], len(out), crc32(out)) for n, out in enumerate(outputs)]

    def trace_output(self, data: bytes, op: int) -> bytes:
        return self._values(data)[self.info.operators[op].outputs[0]].astype(np.int8).tobytes()


WRONG: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Callable[[], bytes], tuple[str, ...]]] = {
    "negative ties": (_negative_ties, small_models.classifier, ("CONV_2D", "FULLY_CONNECTED")),
    "no clamp": (_wrap_int8, small_models.classifier, ("CONV_2D", "FULLY_CONNECTED")),
    "last channel": (_last_channel, small_models.classifier, ("CONV_2D",)),
    "accumulator of 16 bits": (_narrow_sum, small_models.classifier, ("CONV_2D", "FULLY_CONNECTED")),
    "softmax tail": (_softmax_tail, small_models.classifier, ("SOFTMAX",)),
    "odd padding": (_odd_padding, padded_convolution, ("CONV_2D",)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_kernel_is_caught_and_named(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spoil, make, operators_meant = WRONG[name]
    model = make()
    with get_engine() as engine:
        info = engine.info(model)
        inputs = generate_inputs(info, lambda arrays: engine.run(model, arrays), 64, seed=1).inputs
        right = Device(model)
        result = run_session(engine, model, inputs, right.batch, Report(), name="net", trace=right)
        assert result.comparison.exact
        spoil(monkeypatch)
        wrong, report = Device(model), Report()
        result = run_session(engine, model, inputs, wrong.batch, report, name="net", trace=wrong, save_to=tmp_path)
    assert "parity.bit-exact" in {finding.check.id for finding in report.failed}
    assert result.first_op is not None
    assert result.first_op.operator.name in operators_meant


# -- the corpus


def test_a_corpus_is_kept_once_and_comes_back(tmp_path: Path) -> None:
    info = parse_model(small_models.two_in_two_out())
    assert [len(a) for a in kept(tmp_path, info)] == [0, 0]
    rng = np.random.default_rng(1)
    vectors = [rng.integers(-128, 128, (100, 1, 6), dtype=np.int8) for _ in range(2)]
    assert keep(tmp_path, info, vectors) == 100
    assert keep(tmp_path, info, [a[:3] for a in vectors]) == 100
    newer = [rng.integers(-128, 128, (40, 1, 6), dtype=np.int8) for _ in range(2)]
    assert keep(tmp_path, info, newer) == 128
    found = kept(tmp_path, info)
    assert found[0][:40].tobytes() == newer[0].tobytes(), "new ones first"
    assert [path.name[:8] for path in tmp_path.iterdir()] == [info.sha256[:8]]
    assert len(kept(tmp_path, parse_model(small_models.dense()))[0]) == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04cos\nsystem\n."])
def test_a_damaged_corpus_is_named(tmp_path: Path, content: bytes) -> None:
    info = parse_model(small_models.dense())
    (tmp_path / f"{info.sha256[:32]}.npz").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        kept(tmp_path, info)
    assert caught.value.kind == "corpus-file"


def test_a_corpus_of_other_tensors_is_named(tmp_path: Path) -> None:
    info = parse_model(small_models.dense())
    np.savez(tmp_path / f"{info.sha256[:32]}.npz", input0=np.zeros((2, 3), np.int8))
    with pytest.raises(ConfigError):
        keep(tmp_path, info, [np.zeros((1, 1, 16), np.int8)])
