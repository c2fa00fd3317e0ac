"""The numpy reference gives TFLite's numbers: proven against tflite-runtime 2.14, and against its stored answers."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.errors import InfrastructureError
from tfm_harness.parity import small_models
from tfm_harness.parity.engine_choice import get_engine, second_oracle
from tfm_harness.parity.engine_names import DEFAULT_ENGINES
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.installed import installed_engine, unfit
from tfm_harness.parity.numpy_reference.fixed_point import Multiplier, doubling_high_mul, rounding_shift
from tfm_harness.parity.numpy_reference.interpreter import OPERATORS, Interpreter, Unsupported
from tfm_harness.parity.selftest import load_vectors
from tfm_harness.testing import WIDE, Graph, Op, Tensor, one_operator

from tests.examples import few

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "fw_builds" / "reference" / "models"


@cache
def oracle() -> ReferenceEngine:
    try:
        return ReferenceEngine("tflite-runtime")
    except InfrastructureError as error:
        pytest.skip(f"tflite-runtime 2.14 is not installed: {error.seen}")


def ours(model: bytes, inputs: list[Any]) -> list[Any]:
    interpreter = Interpreter(model)
    rows = [interpreter.run([array[n] for array in inputs]) for n in range(len(inputs[0]))]
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.examples
@pytest.mark.parametrize("operator", sorted(one_operator.GENERATORS))
@settings(max_examples=few(60))
@given(seed=st.integers(0, 2**32 - 1))
def test_one_operator(operator: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = one_operator.GENERATORS[operator](rng).build()
    info = oracle().info(model)
    inputs = [rng.integers(-128, 128, size=(4, *tensor.shape)).astype(np.int8) for tensor in info.inputs]
    for array in inputs:
        array[0], array[1] = -128, 127
    try:
        expected = oracle().run(model, inputs)
    except InfrastructureError as error:
        assert error.kind == "engine-refused-model"  # noqa: PT017 - the reference has no kernel for that graph
        return
    try:
        found = ours(model, inputs)
    except Unsupported:
        return
    for want, got in zip(expected, found, strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_generators_are_not_refused() -> None:
    """Refusals above are the exception: nine of ten graphs of each operator are compared."""
    for operator, generate in one_operator.GENERATORS.items():
        taken = 0
        for seed in range(40):
            try:
                Interpreter(generate(np.random.default_rng(seed)).build())
                taken += 1
            except Unsupported:
                pass
        assert taken >= 36, f"{operator}: {taken} of 40"
    assert set(one_operator.GENERATORS) == set(OPERATORS)


@pytest.mark.parametrize("name", ["sine", "tamper", "keyword"])
def test_the_reference_firmwares_models(name: str) -> None:
    model = (MODELS / f"{name}.tflite").read_bytes()
    rng = np.random.default_rng(11)
    info = oracle().info(model)
    inputs = [rng.integers(-128, 128, size=(24, *tensor.shape)).astype(np.int8) for tensor in info.inputs]
    for want, got in zip(oracle().run(model, inputs), ours(model, inputs), strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_stored_answers() -> None:
    """Without any interpreter: outputs of tflite-runtime 2.14 that are kept with the harness."""
    model, inputs, expected = load_vectors()["int8-classifier"]
    for want, got in zip(expected, ours(model, [inputs]), strict=True):
        np.testing.assert_array_equal(got, want)


def random_inputs(graph: Graph) -> np.ndarray[Any, Any]:
    return np.random.default_rng(12).integers(-128, 128, size=(8, *graph.tensors[0].shape)).astype(np.int8)


@pytest.mark.parametrize("name", WIDE)
def test_wide_operators(name: str) -> None:
    graph = WIDE[name]()
    model, inputs = graph.build(), [random_inputs(graph)]
    info = oracle().info(model)
    assert max(info.input_bytes, info.output_bytes) <= 3000, "more does not fit into a message of the firmware"
    for want, got in zip(oracle().run(model, inputs), ours(model, inputs), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_matrix_product_multiplies_its_two_scales_as_floats() -> None:
    """Half a step of the output is a product of scales that fits only when it is rounded to float; TFLM does not."""
    one, other = np.float32(1.37), np.float32(0.161)
    weights = np.random.default_rng(9).integers(-128, 128, size=(64, 3)).astype(np.int8)
    graph = Graph(
        [
            Tensor([1, 3], float(one), 0),
            Tensor([64, 3], float(other), 0, data=weights),
            Tensor([1, 64], float(one * other) * 2.0**9, 0),
        ],
        [Op("FULLY_CONNECTED", [0, 1, -1], [2], {"activation": 0})],
    )
    model, inputs = graph.build(), [random_inputs(graph)]
    np.testing.assert_array_equal(ours(model, inputs)[0], oracle().run(model, inputs)[0])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (small_models.dense("int16"), "is int16; dense int8 and int32"),
        (small_models.dense("float32"), "is float32; dense int8 and int32"),
        (small_models.remembers(), "is float32; dense int8 and int32"),
        (Graph([Tensor([2], 0.1), Tensor([2], 0.1)], [Op("RESHAPE", [0], [1])], subgraphs=2).build(), "2 subgraphs"),
        (
            Graph([Tensor([2], 0.1, variable=True), Tensor([2], 0.1)], [Op("RESHAPE", [0], [1])]).build(),
            "is int8, variable (state from one inference to the next)",
        ),
        (
            Graph([Tensor([2], 0.1, sparsity=True), Tensor([2], 0.1)], [Op("RESHAPE", [0], [1])]).build(),
            "is int8, sparse",
        ),
    ],
)
def test_refusals_name_the_tensor_and_the_reason(model: bytes, words: str) -> None:
    with pytest.raises(Unsupported, match=re.escape(words)):
        Interpreter(model)


def test_as_an_engine() -> None:
    with ReferenceEngine("numpy-reference") as engine:
        assert engine.record.name == "numpy-reference"
        model = (MODELS / "sine.tflite").read_bytes()
        inputs = np.arange(-128, 128, dtype=np.int8).reshape(256, 1, 1)
        info = engine.info(model)
        (outputs,) = engine.run(model, inputs.reshape(256, *info.inputs[0].shape))
        assert len(np.unique(outputs)) > 100
        with pytest.raises(InfrastructureError, match="refuses") as caught:
            engine.run(small_models.dense("float32"), np.zeros((1, 16), np.float32))
        assert caught.value.kind == "engine-refused-model"


def test_there_is_always_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no interpreter is installed the reference that comes along judges; every hint leads on."""
    real = ReferenceEngine._connect

    def absent(self: ReferenceEngine) -> Any:
        if self.name != "numpy-reference":
            raise InfrastructureError("not usable", kind="engine-missing", seen="no such module")
        return real(self)

    monkeypatch.setattr(ReferenceEngine, "_connect", absent)
    with get_engine() as engine:
        assert engine.record.name == DEFAULT_ENGINES[-1] == "numpy-reference"
    assert second_oracle("numpy-reference") is None
    other = second_oracle("tflite-runtime")
    assert other is not None
    with other:
        assert other.name == "numpy-reference"


def test_what_the_header_names() -> None:
    name, _, version = installed_engine().partition(" ")
    assert name in DEFAULT_ENGINES
    assert version
    assert unfit("ai-edge-litert", "1.3.0")
    assert unfit("ai-edge-litert", "2.0.3")
    assert not unfit("ai-edge-litert", "1.2.0")
    assert not unfit("tflite-runtime", "2.14.0")


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_doubling_high_multiplication_is_exact(a: int, b: int) -> None:
    doubled = 2 * a * b
    nearest = (abs(doubled) + 2**31) // 2**32 * (1 if doubled >= 0 else -1)
    if doubled < 0 and abs(doubled) % 2**32 == 2**31:
        nearest += 1  # a negative half goes toward zero: the nudge is 1 - 2^30
    assert int(doubling_high_mul(np.array([a]), b)[0]) == min(nearest, 2**31 - 1)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 31))
def test_rounding_shift_is_exact(x: int, exponent: int) -> None:
    half = 2**exponent // 2
    nearest = (abs(x) + half) // 2**exponent * (1 if x >= 0 else -1)
    assert int(rounding_shift(np.array([x], np.int64), exponent)[0]) == nearest


@given(st.floats(2.0**-28, 2.0**28, allow_nan=False))
def test_a_multiplier_is_near_its_number(real: float) -> None:
    multiplier = Multiplier.of(real)
    assert 2**30 <= multiplier.significand < 2**31
    assert abs(multiplier.significand * 2.0 ** (multiplier.shift - 31) - real) <= real * 2.0**-31
