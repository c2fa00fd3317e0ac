"""The loader refuses what is wrong, names why, and survives anything."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engines import BUILD, HERE, MODELS, STATUS, Refused, engine_describe, engine_run, reference
from tfm_harness.testing.model_changes import Change
from tfm_harness.testing.one_operator import GENERATORS
from tfm_harness.testing.right_models import RIGHT_MODELS, conv, dense
from tfm_harness.testing.tflite_builder import Graph, Op, Tensor
from tfm_harness.testing.wrong_models import WRONG_MODELS

PLAIN = "nn_run.plain"
"""Without sanitizers, which take most of the start of a process."""


def status_of(path: Path, content: bytes, **kwargs: int) -> str:
    path.write_bytes(content)
    try:
        engine_describe(path, **kwargs)
    except Refused as refused:
        return refused.status
    return "OK"


@pytest.mark.parametrize("base", RIGHT_MODELS)
def test_the_bases_are_good(base: Callable[[], Graph], model_file: Path) -> None:
    content = base().build()
    assert status_of(model_file, content) == "OK"
    graph = base()
    inputs = np.random.default_rng(5).integers(-128, 128, (20, int(np.prod(graph.tensors[0].shape)))).astype(np.int8)
    np.testing.assert_array_equal(engine_run(model_file, inputs), reference.run(content, inputs))


@pytest.mark.parametrize(
    ("base", "change", "expected"), [w[1:] for w in WRONG_MODELS], ids=[w[0] for w in WRONG_MODELS]
)
def test_a_wrong_model_is_refused(base: Callable[[], Graph], change: Change, expected: str, model_file: Path) -> None:
    graph = base()
    change(graph)
    assert status_of(model_file, graph.build()) == expected


@pytest.mark.parametrize("name", GENERATORS)
def test_operator_versions_are_the_references(name: str, model_file: Path) -> None:
    for version in range(12):
        graph = GENERATORS[name](np.random.default_rng([1, 2]))
        graph.op_version = version
        content = graph.build()
        inputs = np.zeros((1, int(np.prod(graph.tensors[0].shape))), np.int8)
        try:
            reference.run(content, inputs)
            expected = "OK"
        except Refused:
            expected = "UNSUPPORTED_OP"
        assert (version, status_of(model_file, content)) == (version, expected)


def test_more_work_than_allowed_is_refused(model_file: Path) -> None:
    # 512 x 512 outputs of 511 values each: well-formed, but far beyond NN_MAX_WORK.
    data = np.ones((512, 1024), np.int8)
    graph = Graph(
        [Tensor([256, 1024], 0.1), Tensor([512, 1024], 0.1, data=data), Tensor([256, 512], 0.1)],
        [Op("FULLY_CONNECTED", [0, 1, -1], [2], {"activation": 0})],
    )
    assert status_of(model_file, graph.build(), arena=2**20) == "ARENA"


def test_an_arena_too_small_is_refused(model_file: Path) -> None:
    content = conv().build()
    assert status_of(model_file, content, arena=0) == "ARENA"
    assert status_of(model_file, content, arena=100) == "ARENA"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"TFL3",
        b"\x00" * 8,
        b"\x08\x00\x00\x00TFL3",
        b"\xff" * 4096,
        b"\x04\x00\x00\x00TFL3" + b"\x00" * 64,
    ],
    ids=["empty", "a byte", "four", "zeros", "head", "ones", "root in the head"],
)
def test_what_is_no_model_is_refused(content: bytes, model_file: Path) -> None:
    assert status_of(model_file, content) == "FORMAT"


def test_a_table_may_lie_anywhere_but_outside(model_file: Path) -> None:
    content = bytearray(dense().build())
    for offset in (len(content), len(content) - 1, 2**31, 2**32 - 1, 2**32 - 8):
        struct.pack_into("<I", content, 0, offset)
        assert status_of(model_file, bytes(content)) == "FORMAT"


# --- mutants ---------------------------------------------------------------------------------------------------


def mutation_run(path: Path, seed: int, count: int, cwd: Path, program: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), str(path), str(seed), str(count)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=cwd,
    )


def mutate(path: Path, seed: int, count: int, cwd: Path) -> Counter[str]:
    result = mutation_run(path, seed, count, cwd, BUILD / "nn_mutate")
    assert result.returncode == 0, f"run again with NN_KEEP_MUTANT=1 to keep the culprit:\n{result.stderr[-4000:]}"
    words = result.stdout.split()
    return Counter(dict(zip(words[::2], map(int, words[1::2]), strict=True)))


# One inference of keyword takes longer than a hundred of the others. At night: the same with more mutants.
FEW = [("sine", 1500), ("tamper", 1000), ("keyword", 400)]
MANY = [pytest.param(*row, marks=pytest.mark.nightly) for row in (("sine", 10000), ("tamper", 9000), ("keyword", 2000))]


@pytest.mark.parametrize(("name", "mutants"), [*FEW, *MANY])
def test_truncated_and_mutated_models_do_no_harm(name: str, mutants: int, tmp_path: Path) -> None:
    counts = mutate(MODELS / f"{name}.tflite", 20261123, mutants, tmp_path)
    assert sum(counts.values()) > mutants + 2000
    assert counts["FORMAT"] > 1000
    assert counts["OK"] > 100  # mutants that are run, not only refused
    assert counts["QUANT"] > 0
    assert counts["SHAPE"] > 0


@pytest.mark.parametrize("mutants", [120, pytest.param(1000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", GENERATORS)
def test_mutated_one_operator_models_do_no_harm(name: str, mutants: int, tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for index in range(4):
        path = tmp_path / f"{index}.tflite"
        path.write_bytes(GENERATORS[name](np.random.default_rng([99, index])).build())
        total += mutate(path, index, mutants, tmp_path)
    assert total["OK"] > 10
    assert total["FORMAT"] > 100
    assert total["ARG"] == 0


@pytest.mark.parametrize("mutants", [100, pytest.param(400, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("name", ["sine", "tamper"])
def test_accepted_mutants_still_agree_with_the_reference(name: str, mutants: int, model_file: Path) -> None:
    """What is accepted means the same as for the reference, or the reference refuses it; the tests above: no harm."""
    original = (MODELS / f"{name}.tflite").read_bytes()
    rng = np.random.default_rng(7)
    size = int(np.prod(engine_describe(MODELS / f"{name}.tflite")["input"]["shape"]))
    inputs = rng.integers(-128, 128, (4, size)).astype(np.int8)
    accepted = agreed = 0
    for _ in range(mutants):
        mutant = bytearray(original)
        mutant[int(rng.integers(len(mutant)))] ^= 1 << int(rng.integers(8))
        model_file.write_bytes(mutant)
        try:
            seen = engine_run(model_file, inputs, program=PLAIN)
        except Refused:
            continue
        accepted += 1
        try:
            expected = reference.run(bytes(mutant), inputs)
        except Refused:
            continue
        agreed += 1
        np.testing.assert_array_equal(seen, expected)
    assert accepted > mutants // 8
    assert agreed > mutants // 8


@pytest.mark.parametrize("name", GENERATORS)
def test_accepted_mutants_of_operators_agree_with_the_reference(name: str, model_file: Path) -> None:
    rng = np.random.default_rng([17, len(name)])
    agreed = 0
    for _ in range(100):
        graph = GENERATORS[name](rng)
        mutant = bytearray(graph.build())
        at = int(rng.integers(len(mutant) // 4)) * 4
        (word,) = struct.unpack_from("<I", mutant, at)
        changes = [word + 1, word - 1, word ^ 1 << int(rng.integers(32)), 0, 1, 2]
        struct.pack_into("<I", mutant, at, int(rng.choice(changes)) % 2**32)
        model_file.write_bytes(mutant)
        try:
            size = int(np.prod(engine_describe(model_file, program=PLAIN)["input"]["shape"]))
            inputs = rng.integers(-128, 128, (8, size)).astype(np.int8)
            seen = engine_run(model_file, inputs, program=PLAIN)
            expected = reference.run(bytes(mutant), inputs)
        except Refused:
            continue
        agreed += 1
        np.testing.assert_array_equal(seen, expected)
    assert agreed >= 3


# Faults put into a copy of the engine: (file, text, replacement). What the mutation run must notice.
FAULTS = [
    ("nn_plan.c", "return a->first_op <= b->last_op && b->first_op <= a->last_op;", "(void)a, (void)b; return false;"),
    ("nn_flatbuffer.c", "position > fb->size || length > fb->size - position", "position + length == 1"),
    ("nn_flatbuffer.c", "offset < 4 || offset + size > t->table_size", "size == 0"),
    ("nn_tensors.c", "data.count != t->elements * width", "data.count + width == 1"),
    ("nn_loader.c", "index < 0 || (uint32_t)index >= m->tensor_count", "index < 0"),
    ("nn_conv.c", "t.filter->dim[3] != t.input->dim[3]", "false"),
]


# Each is compiled and run on its own; the first three show that the mutation run sees a fault, the others do at night.
@pytest.mark.parametrize(
    ("file", "text", "replacement"),
    [
        pytest.param(*fault, id=f"{fault[0]}: {fault[1][:40]}", marks=[pytest.mark.nightly] if number > 2 else [])
        for number, fault in enumerate(FAULTS)
    ],
)
def test_a_missing_check_is_noticed(file: str, text: str, replacement: str, tmp_path: Path) -> None:
    root = tmp_path / "reference"
    shutil.copytree(HERE.parent.parent / "partition" / "nn", root / "partition" / "nn")
    tests = root / "host_tests" / "nn"
    tests.mkdir(parents=True)
    for name in ("Makefile", "nn_mutate.c", "nn_host.c", "nn_host.h"):
        shutil.copy2(HERE / name, tests)
    for objects in ("sanitized", "bounded"):  # only the faulty file is newer than its object
        shutil.copytree(BUILD / objects, tests / "build" / objects)
    faulty = root / "partition" / "nn" / file
    source = faulty.read_text()
    assert source.count(text) >= 1
    faulty.write_text(source.replace(text, replacement))
    subprocess.run(["make", "-s", "build/nn_mutate"], cwd=tests, check=True, timeout=600)
    models = [MODELS / "tamper.tflite", MODELS / "sine.tflite"]
    for name in ("CONV_2D", "FULLY_CONNECTED", "ADD"):
        models.append(tmp_path / f"{name}.tflite")
        models[-1].write_bytes(GENERATORS[name](np.random.default_rng([99, 0])).build())
    assert any(mutation_run(model, 5, 3000, tests, tests / "build" / "nn_mutate").returncode for model in models)


def test_the_status_names_are_the_drivers() -> None:
    header = (MODELS.parent / "partition" / "nn" / "nn.h").read_text()
    at = [header.index(f"NN_{'ERR_' if name != 'OK' else ''}{name}") for name in STATUS]
    assert at == sorted(at)
