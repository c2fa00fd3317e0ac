"""The loader refuses what is wrong, names why, and survives anything."""

from __future__ import annotations

import dataclasses
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from engines import BUILD, HERE, MODELS, STATUS, Refused, engine_describe, engine_run, reference
from one_op import GENERATORS
from tflite_builder import Graph, Op, Tensor

FLOAT_NAN = float("nan")

Change = Callable[[Graph], Any]


def status_of(path: Path, content: bytes, **kwargs: int) -> str:
    path.write_bytes(content)
    try:
        engine_describe(path, **kwargs)
    except Refused as refused:
        return refused.status
    return "OK"


# --- hand-made wrong models ------------------------------------------------------------------------------------


def conv() -> Graph:
    return Graph(
        [
            Tensor([1, 5, 5, 2], 0.1, 3),
            Tensor([4, 3, 3, 2], [0.1, 0.2, 0.3, 0.4], data=np.ones((4, 3, 3, 2), np.int8)),
            Tensor([4], [0.01, 0.02, 0.03, 0.04], dtype="int32", data=np.arange(4)),
            Tensor([1, 5, 5, 4], 0.5, -1),
        ],
        [Op("CONV_2D", [0, 1, 2], [3], {"padding": 0, "stride_w": 1, "stride_h": 1, "activation": 0})],
    )


def dense() -> Graph:
    return Graph(
        [
            Tensor([1, 6], 0.1, 3),
            Tensor([4, 6], 0.2, data=np.ones((4, 6), np.int8)),
            Tensor([4], 0.02, dtype="int32", data=np.arange(4)),
            Tensor([1, 4], 0.5, -1),
        ],
        [Op("FULLY_CONNECTED", [0, 1, 2], [3], {"activation": 1})],
    )


def soft() -> Graph:
    return Graph([Tensor([1, 4], 0.1, 3), Tensor([1, 4], 1 / 256, -128)], [Op("SOFTMAX", [0], [1], {"beta": 1.0})])


def pool(name: str = "MAX_POOL_2D") -> Graph:
    options = {"padding": 1, "stride_w": 2, "stride_h": 2, "filter_w": 2, "filter_h": 2, "activation": 0}
    return Graph([Tensor([1, 4, 4, 2], 0.1, 3), Tensor([1, 2, 2, 2], 0.1, 3)], [Op(name, [0], [1], options)])


def mean() -> Graph:
    return Graph(
        [Tensor([1, 4, 4, 2], 0.1, 3), Tensor([1, 2], 0.1, 0), Tensor([2], dtype="int32", data=np.array([1, 2]))],
        [Op("MEAN", [0, 2], [1], {"keep_dims": False})],
    )


def pad() -> Graph:
    return Graph(
        [
            Tensor([2, 3], 0.1, 3),
            Tensor([4, 4], 0.1, 3),
            Tensor([2, 2], dtype="int32", data=np.array([[1, 1], [0, 1]])),
        ],
        [Op("PAD", [0, 2], [1])],
    )


def reshape() -> Graph:
    return Graph(
        [Tensor([2, 3], 0.1, 3), Tensor([3, 2], 0.1, 3), Tensor([2], dtype="int32", data=np.array([3, 2]))],
        [Op("RESHAPE", [0, 2], [1])],
    )


def add() -> Graph:
    return Graph(
        [Tensor([2, 3], 0.1, 3), Tensor([2, 3], 0.2, 3), Tensor([2, 3], 0.1, data=np.ones((2, 3), np.int8))],
        [Op("ADD", [0, 2], [1], {"activation": 0})],
    )


BASES = [conv, dense, soft, pool, mean, pad, reshape, add]


@pytest.mark.parametrize("base", BASES)
def test_the_bases_are_good(base: Callable[[], Graph], model_file: Path) -> None:
    content = base().build()
    assert status_of(model_file, content) == "OK"
    graph = base()
    inputs = np.random.default_rng(5).integers(-128, 128, (20, int(np.prod(graph.tensors[0].shape)))).astype(np.int8)
    np.testing.assert_array_equal(engine_run(model_file, inputs), reference.run(content, inputs))


def tensor(index: int, **changes: Any) -> Change:
    def change(graph: Graph) -> None:
        graph.tensors[index] = dataclasses.replace(graph.tensors[index], **changes)

    return change


def options(**changes: Any) -> Change:
    def change(graph: Graph) -> None:
        graph.ops[0].options = {**(graph.ops[0].options or {}), **changes}

    return change


def op(**changes: Any) -> Change:
    def change(graph: Graph) -> None:
        graph.ops[0] = dataclasses.replace(graph.ops[0], **changes)

    return change


def graph_with(**changes: Any) -> Change:
    def change(graph: Graph) -> None:
        for name, value in changes.items():
            setattr(graph, name, value)

    return change


def ints(*values: Any) -> npt.NDArray[np.int64]:
    return np.array(values)


def other_bias_scale(graph: Graph) -> None:
    """A bias whose one scale is none of the weights' four."""
    tensor(1, scale=[0.1] * 4)(graph)
    tensor(2, scale=0.5)(graph)


def kept_per_channel(graph: Graph) -> None:
    """An output of three dimensions, of which the reference would leave a part unwritten."""
    for change in (tensor(0, shape=[1, 2, 6]), tensor(1, scale=[0.1] * 4), tensor(3, shape=[1, 2, 4])):
        change(graph)
    options(keep_num_dims=True)(graph)


WRONG = [
    ("identifier", dense, graph_with(identifier=b"TFL2"), "FORMAT"),
    ("schema version", dense, graph_with(version=2), "FORMAT"),
    ("two subgraphs", dense, graph_with(subgraphs=2), "FORMAT"),
    ("two inputs", dense, graph_with(inputs=(0, 0)), "FORMAT"),
    ("no output", dense, graph_with(outputs=()), "FORMAT"),
    ("output beyond the tensors", dense, graph_with(outputs=(4,)), "FORMAT"),
    ("input -1", dense, graph_with(inputs=(-1,)), "FORMAT"),
    ("output is the input", dense, graph_with(outputs=(0,)), "FORMAT"),
    ("output is a constant", dense, graph_with(outputs=(1,)), "FORMAT"),
    ("no operators", dense, graph_with(ops=[], outputs=(3,)), "FORMAT"),
    ("33 operators", reshape, lambda g: setattr(g, "ops", g.ops * 33), "ARENA"),
    ("65 tensors", dense, lambda g: g.tensors.extend([Tensor([1], 0.1)] * 61), "ARENA"),
    ("operator writes its input", reshape, op(outputs=[0]), "FORMAT"),
    ("operator writes a constant", dense, op(outputs=[1]), "FORMAT"),
    ("operator reads what nobody wrote", add, op(inputs=[0, 1]), "FORMAT"),
    ("tensor written twice", reshape, lambda g: setattr(g, "ops", g.ops * 2), "FORMAT"),
    ("input tensor index too large", dense, op(inputs=[9, 1, 2]), "FORMAT"),
    ("input tensor index negative", dense, op(inputs=[-1, 1, 2]), "FORMAT"),
    ("too many inputs", dense, op(inputs=[0, 1, 2, 2]), "FORMAT"),
    ("too few inputs", dense, op(inputs=[0]), "FORMAT"),
    ("two outputs", dense, op(outputs=[3, 3]), "FORMAT"),
    ("no options", dense, op(options=None), "FORMAT"),
    ("another operator's options", dense, op(options_type=1), "FORMAT"),
    ("operator version 0", soft, graph_with(op_version=0), "UNSUPPORTED_OP"),
    ("operator version 4", soft, graph_with(op_version=4), "UNSUPPORTED_OP"),
    ("unknown operator", soft, op(name="LOGISTIC"), "UNSUPPORTED_OP"),
    ("float input", dense, tensor(0, dtype="float32"), "UNSUPPORTED_TYPE"),
    ("int16 output", dense, tensor(3, dtype="int16"), "UNSUPPORTED_TYPE"),
    ("int32 activation", dense, tensor(0, dtype="int32"), "UNSUPPORTED_TYPE"),
    ("variable tensor", dense, tensor(3, variable=True), "UNSUPPORTED_TYPE"),
    ("int8 bias", dense, tensor(2, dtype="int8"), "UNSUPPORTED_TYPE"),
    ("int32 weights", dense, tensor(1, dtype="int32"), "UNSUPPORTED_TYPE"),
    ("rank 5", dense, tensor(0, shape=[1, 1, 1, 1, 6]), "SHAPE"),
    ("dimension 0", dense, tensor(0, shape=[0, 6]), "SHAPE"),
    ("dimension -1", dense, tensor(0, shape=[-1, 6]), "SHAPE"),
    ("dimension 2^31 - 1", dense, tensor(0, shape=[2**31 - 1, 6]), "SHAPE"),
    ("elements overflow", dense, tensor(0, shape=[2**16, 2**16, 2**16, 6]), "SHAPE"),
    ("constant shorter than its shape", dense, tensor(1, data=np.ones((4, 5), np.int8)), "FORMAT"),
    ("constant longer than its shape", dense, tensor(1, data=np.ones((4, 7), np.int8)), "FORMAT"),
    ("no quantisation", dense, tensor(0, scale=None), "QUANT"),
    ("scale 0", dense, tensor(0, scale=0.0), "QUANT"),
    ("scale negative", dense, tensor(3, scale=-0.5), "QUANT"),
    ("scale NaN", dense, tensor(3, scale=FLOAT_NAN), "QUANT"),
    ("scale infinite", dense, tensor(3, scale=float("inf")), "QUANT"),
    ("scale subnormal", dense, tensor(3, scale=1e-40), "QUANT"),
    ("zero point 128", dense, tensor(0, zero_point=128), "QUANT"),
    ("zero point 2^32", dense, tensor(0, zero_point=2**32), "QUANT"),
    ("zero point -2^63", dense, tensor(0, zero_point=-(2**63)), "QUANT"),
    ("per-channel activation", dense, tensor(0, scale=[0.1, 0.2]), "QUANT"),
    ("more zero points than scales", dense, tensor(0, zero_point=[1, 2]), "QUANT"),
    ("different zero points", conv, tensor(1, zero_point=[0, 0, 1, 0]), "QUANT"),
    ("weights with a zero point", conv, tensor(1, zero_point=1), "QUANT"),
    ("bias with a zero point", conv, tensor(2, zero_point=1), "QUANT"),
    ("quantised dimension beyond the rank", dense, tensor(0, axis=2), "QUANT"),
    ("quantised dimension negative", dense, tensor(0, axis=-1), "QUANT"),
    ("scales for another dimension", conv, tensor(1, axis=3), "QUANT"),
    ("too few scales", conv, tensor(1, scale=[0.1, 0.2]), "QUANT"),
    ("multiplier beyond 2^30", conv, tensor(3, scale=1e-15), "QUANT"),
    ("activation range beyond int32", dense, lambda g: (tensor(3, scale=1e-12)(g), options(activation=3)(g)), "QUANT"),
    ("fully connected with too few scales", dense, tensor(1, scale=[0.1] * 3), "QUANT"),
    ("scales of a matrix's columns", dense, tensor(1, scale=[0.1] * 6, axis=1), "QUANT"),
    ("per-channel matrix with a zero point", dense, tensor(1, scale=[0.1] * 4, zero_point=[1] * 4), "QUANT"),
    ("per-channel matrix, bias on another scale", dense, other_bias_scale, "QUANT"),
    ("per-channel matrix, kept dimensions", dense, kept_per_channel, "UNSUPPORTED_OP"),
    ("bias on another scale", dense, tensor(2, scale=0.5), "QUANT"),
    ("convolution without bias", conv, op(inputs=[0, 1]), "FORMAT"),
    ("bias of another length", conv, tensor(2, shape=[3], scale=0.1, data=ints(1, 2, 3)), "SHAPE"),
    ("filter of another depth", conv, tensor(1, shape=[4, 3, 3, 1], data=np.ones((4, 3, 3, 1), np.int8)), "SHAPE"),
    ("convolution of rank 3", conv, tensor(0, shape=[5, 5, 2]), "SHAPE"),
    ("output of another shape", conv, tensor(3, shape=[1, 5, 4, 4]), "SHAPE"),
    ("stride 0", conv, options(stride_w=0), "SHAPE"),
    ("stride negative", conv, options(stride_h=-1), "SHAPE"),
    ("stride 2^31 - 1", conv, options(stride_h=2**31 - 1), "SHAPE"),
    ("dilation 0", conv, options(dilation_h=0), "SHAPE"),
    ("dilation 2^30", conv, options(dilation_w=2**30), "SHAPE"),
    ("padding 2", conv, options(padding=2), "UNSUPPORTED_OP"),
    ("activation TANH", conv, options(activation=4), "UNSUPPORTED_OP"),
    ("filter larger than a VALID input", conv, options(padding=1, dilation_h=3), "SHAPE"),
    ("shuffled weights", dense, options(weights_format=1), "UNSUPPORTED_OP"),
    ("depth does not divide", dense, tensor(0, shape=[1, 7]), "SHAPE"),
    ("softmax over 512", soft, lambda g: (tensor(0, shape=[512])(g), tensor(1, shape=[512])(g)), "SHAPE"),
    ("softmax output scale", soft, tensor(1, scale=1 / 128), "QUANT"),
    ("softmax output zero point", soft, tensor(1, zero_point=0), "QUANT"),
    ("softmax beta 0", soft, options(beta=0.0), "UNSUPPORTED_OP"),
    ("softmax beta NaN", soft, options(beta=FLOAT_NAN), "UNSUPPORTED_OP"),
    ("softmax too flat", soft, tensor(0, scale=1e-9), "QUANT"),
    ("pooling rescales", pool, tensor(1, scale=0.2), "QUANT"),
    ("pooling filter 0", pool, options(filter_w=0), "SHAPE"),
    ("pooling filter 2^31 - 1", pool, options(filter_h=2**31 - 1, padding=0), "SHAPE"),
    ("axis beyond the rank", mean, tensor(2, data=ints(1, 4)), "SHAPE"),
    ("axis -5", mean, tensor(2, data=ints(-5, 1)), "SHAPE"),
    ("mean of other axes", mean, tensor(2, data=ints(1, 1)), "SHAPE"),
    ("mean over int8 axes", mean, tensor(2, dtype="int8"), "UNSUPPORTED_TYPE"),
    ("negative padding", pad, tensor(2, data=ints([-1, 3], [0, 1])), "SHAPE"),
    ("padding 2^31 - 1", pad, tensor(2, data=ints([2**31 - 1, 1], [0, 1])), "SHAPE"),
    ("paddings of another rank", pad, tensor(2, shape=[1, 2], data=ints([1, 1])), "SHAPE"),
    ("padding rescales", pad, tensor(1, zero_point=4), "QUANT"),
    ("reshape to fewer elements", reshape, tensor(1, shape=[5, 1]), "SHAPE"),
    ("reshape says another shape", reshape, tensor(2, data=ints(2, 3)), "SHAPE"),
    ("addition of unlike shapes", add, tensor(2, shape=[2, 2], data=np.ones((2, 2), np.int8)), "SHAPE"),
    ("addition with another result", add, tensor(1, shape=[3, 2]), "SHAPE"),
    ("addition into a tiny scale", add, tensor(1, scale=1e-9), "QUANT"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "change", "expected"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
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


@pytest.mark.parametrize(("name", "mutants"), [("sine", 10000), ("tamper", 9000), ("keyword", 2000)])
def test_truncated_and_mutated_models_do_no_harm(name: str, mutants: int, tmp_path: Path) -> None:
    counts = mutate(MODELS / f"{name}.tflite", 20261123, mutants, tmp_path)
    assert sum(counts.values()) > mutants + 2000
    assert counts["FORMAT"] > 1000
    assert counts["OK"] > 100  # mutants that are run, not only refused
    assert counts["QUANT"] > 0
    assert counts["SHAPE"] > 0


@pytest.mark.parametrize("name", GENERATORS)
def test_mutated_one_operator_models_do_no_harm(name: str, tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for index in range(4):
        path = tmp_path / f"{index}.tflite"
        path.write_bytes(GENERATORS[name](np.random.default_rng([99, index])).build())
        total += mutate(path, index, 1000, tmp_path)
    assert total["OK"] > 10
    assert total["FORMAT"] > 100
    assert total["ARG"] == 0


@pytest.mark.parametrize("name", ["sine", "tamper"])
def test_accepted_mutants_still_agree_with_the_reference(name: str, model_file: Path) -> None:
    """What is accepted is not only harmless: it means the same as for the reference, or the reference refuses it."""
    original = (MODELS / f"{name}.tflite").read_bytes()
    rng = np.random.default_rng(7)
    size = int(np.prod(engine_describe(MODELS / f"{name}.tflite")["input"]["shape"]))
    inputs = rng.integers(-128, 128, (4, size)).astype(np.int8)
    accepted = agreed = 0
    for _ in range(400):
        mutant = bytearray(original)
        mutant[int(rng.integers(len(mutant)))] ^= 1 << int(rng.integers(8))
        model_file.write_bytes(mutant)
        try:
            seen = engine_run(model_file, inputs)
        except Refused:
            continue
        accepted += 1
        try:
            expected = reference.run(bytes(mutant), inputs)
        except Refused:
            continue
        agreed += 1
        np.testing.assert_array_equal(seen, expected)
    assert accepted > 50
    assert agreed > 50


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
            size = int(np.prod(engine_describe(model_file)["input"]["shape"]))
            inputs = rng.integers(-128, 128, (8, size)).astype(np.int8)
            seen = engine_run(model_file, inputs)
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


@pytest.mark.parametrize(("file", "text", "replacement"), FAULTS, ids=[f"{f[0]}: {f[1][:40]}" for f in FAULTS])
def test_a_missing_check_is_noticed(file: str, text: str, replacement: str, tmp_path: Path) -> None:
    root = tmp_path / "reference"
    shutil.copytree(HERE.parent.parent / "partition" / "nn", root / "partition" / "nn")
    tests = root / "host_tests" / "nn"
    tests.mkdir(parents=True)
    for name in ("Makefile", "nn_mutate.c", "nn_host.c", "nn_host.h"):
        shutil.copy(HERE / name, tests)
    faulty = root / "partition" / "nn" / file
    source = faulty.read_text()
    assert source.count(text) >= 1
    faulty.write_text(source.replace(text, replacement))
    subprocess.run(["make", "-s", "build/nn_mutate"], cwd=tests, check=True, timeout=600)
    models = [MODELS / "tamper.tflite", MODELS / "sine.tflite"]
    for name in ("CONV_2D", "FULLY_CONNECTED", "ADD"):
        models.append(tmp_path / f"{name}.tflite")
        models[-1].write_bytes(GENERATORS[name](np.random.default_rng([99, 0])).build())
    codes = [mutation_run(model, 5, 3000, tests, tests / "build" / "nn_mutate").returncode for model in models]
    assert any(codes)


def test_the_status_names_are_the_drivers() -> None:
    header = (MODELS.parent / "partition" / "nn" / "nn.h").read_text()
    at = [header.index(f"NN_{'ERR_' if name != 'OK' else ''}{name}") for name in STATUS]
    assert at == sorted(at)
