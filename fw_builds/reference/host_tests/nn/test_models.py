"""The committed models: every output of every operator equals the reference's, on random and on real-looking inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keyword_data
import numpy as np
import numpy.typing as npt
import pytest
import sine_data
import tamper_data
from engines import ARENA, MODELS, Int8, ParityRows, Refused, engine_describe, engine_run, reference
from sensor_frontend import quantise_window

COUNTS = {"sine": 1000, "tamper": 1000, "keyword": 100}  # an inference of keyword takes longer than a hundred others
NIGHTLY = {"keyword": 1000}
SANITIZED = 100  # of these also with sanitizers, which take most of the time
FEW = 100  # that show a fault
PLAIN = "nn_run.plain"
NAMES = ("sine", "tamper", "keyword")


def random_inputs(name: str, count: int) -> Int8:
    size = int(np.prod(engine_describe(MODELS / f"{name}.tflite")["input"]["shape"]))
    return np.random.default_rng(1234).integers(-128, 128, size=(count, size), dtype=np.int8)


def quantise(name: str, values: npt.NDArray[np.float32]) -> Int8:
    tensor = engine_describe(MODELS / f"{name}.tflite")["input"]
    scaled = np.rint(values / np.float32(tensor["scale"])) + tensor["zero_point"]
    return np.clip(scaled, -128, 127).astype(np.int8).reshape(len(values), -1)


def real_inputs(name: str, count: int) -> Int8:
    if name == "sine":
        return quantise(name, sine_data.generate(77, count)[0])
    if name == "keyword":
        return quantise(name, keyword_data.generate(77, count)[0])
    return quantise_window(tamper_data.generate(77, count)[0]).reshape(count, -1)


@pytest.mark.parametrize("source", [random_inputs, real_inputs], ids=["random", "real"])
@pytest.mark.parametrize(
    ("name", "count"),
    [*COUNTS.items(), *(pytest.param(*row, marks=pytest.mark.nightly) for row in NIGHTLY.items())],
)
def test_model_is_bit_exact(name: str, count: int, source: Callable[[str, int], Int8], parity_row: ParityRows) -> None:
    inputs = source(name, count)
    content = (MODELS / f"{name}.tflite").read_bytes()
    expected = reference.run(content, inputs)
    seen = engine_run(MODELS / f"{name}.tflite", inputs, program=PLAIN)
    np.testing.assert_array_equal(engine_run(MODELS / f"{name}.tflite", inputs[:SANITIZED]), seen[:SANITIZED])
    distinct = len(np.unique(expected, axis=0))
    exact = int((expected == seen).all(axis=1).sum())
    parity_row.append((f"{name}, {source.__name__.removesuffix('_inputs')}", count, exact, distinct))
    assert exact == count
    # Fewer would say nothing: a constant output agrees with a constant output.
    assert distinct >= 16


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_is_bit_exact(name: str) -> None:
    each = COUNTS[name] // 10
    inputs = np.concatenate([random_inputs(name, each), real_inputs(name, each)])
    expected = reference.trace((MODELS / f"{name}.tflite").read_bytes(), inputs)
    seen = engine_run(MODELS / f"{name}.tflite", inputs, trace=True)
    np.testing.assert_array_equal(expected, seen)


def caught(name: str, program: str) -> int:
    inputs = random_inputs(name, FEW)
    expected = reference.run((MODELS / f"{name}.tflite").read_bytes(), inputs)
    return int((expected != engine_run(MODELS / f"{name}.tflite", inputs, program=program)).any(axis=1).sum())


@pytest.mark.parametrize(
    ("name", "mutant"),
    [("sine", "REQUANT_ROUNDING"), ("tamper", "REQUANT_ROUNDING"), ("keyword", "REQUANT_ROUNDING"),
     ("tamper", "SOFTMAX_OFF_BY_ONE"), ("keyword", "SOFTMAX_OFF_BY_ONE")],
)  # fmt: skip
def test_a_faulty_engine_is_caught(name: str, mutant: str) -> None:
    assert caught(name, f"nn_run.{mutant}") > 0


@pytest.mark.parametrize(("mutant", "operator"), [("SOFTMAX_OFF_BY_ONE", "SOFTMAX"), ("REQUANT_ROUNDING", "CONV_2D")])
def test_a_trace_names_the_first_differing_operator(mutant: str, operator: str) -> None:
    path = MODELS / "tamper.tflite"
    inputs = random_inputs("tamper", 20)
    expected = reference.trace(path.read_bytes(), inputs)
    seen = engine_run(path, inputs, trace=True, program=f"nn_run.{mutant}")
    described = engine_describe(path)
    ends = np.cumsum(described["sizes"])
    first = int(np.flatnonzero((expected != seen).any(axis=0))[0])
    assert described["ops"][int(np.searchsorted(ends, first, side="right"))] == operator


def test_a_changed_weight_is_caught(tmp_path: Path) -> None:
    content = bytearray((MODELS / "tamper.tflite").read_bytes())
    inputs = real_inputs("tamper", COUNTS["tamper"])
    expected = reference.run(bytes(content), inputs)
    # The first layer's weights: found by asking which single-byte changes the reference itself notices.
    changed = None
    for at in range(len(content) - 4000, len(content), 97):
        mutant = bytearray(content)
        mutant[at] ^= 0x40
        try:
            if (reference.run(bytes(mutant), inputs[:200]) != expected[:200]).any():
                changed = mutant
                break
        except Refused:
            continue
    assert changed is not None
    path = tmp_path / "changed.tflite"
    path.write_bytes(changed)
    np.testing.assert_array_equal(engine_run(path, inputs), reference.run(bytes(changed), inputs))
    assert (engine_run(path, inputs) != expected).any()


@pytest.mark.parametrize("name", NAMES)
def test_arena_is_used_to_the_byte(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    need = engine_describe(path)["arena"]
    assert need <= ARENA
    engine_describe(path, arena=need)
    with pytest.raises(Refused, match="ARENA"):
        engine_describe(path, arena=need - 1)


def test_tamper_accuracy() -> None:
    raw, labels = tamper_data.generate(4242, 2000)
    outputs = engine_run(MODELS / "tamper.tflite", quantise_window(raw).reshape(2000, -1), program=PLAIN)
    assert (outputs.argmax(axis=1) == labels).mean() > 0.95


def test_keyword_accuracy() -> None:
    features, labels = keyword_data.generate(4242, 400)
    outputs = engine_run(MODELS / "keyword.tflite", quantise("keyword", features), program=PLAIN)
    assert (outputs.argmax(axis=1) == labels).mean() > 0.95


def test_sine_error() -> None:
    x, y = sine_data.generate(4242, 1000)
    info = engine_describe(MODELS / "sine.tflite")["output"]
    outputs = engine_run(MODELS / "sine.tflite", quantise("sine", x)).astype(np.float64)
    error = (outputs - info["zero_point"]) * info["scale"] - y
    assert np.abs(error).mean() < 0.05


def test_front_end_values_enter_the_tamper_model_unchanged() -> None:
    tensor = engine_describe(MODELS / "tamper.tflite")["input"]
    assert (tensor["scale"], tensor["zero_point"], tensor["shape"]) == (1 / 64, 0, [1, 32, 1, 4])
