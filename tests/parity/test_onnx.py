"""ONNX models as truth: formats of the device, hostile files, both oracles, a device judged by them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from tfm_harness.bench.reference import onnx_blob
from tfm_harness.cli.main import main
from tfm_harness.config.loading import load_build
from tfm_harness.config.model import ModelConfig
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.parity.firstop import first_op_by_oracle
from tfm_harness.parity.onnx import OnnxEngine, get_onnx_engine
from tfm_harness.parity.onnx_model import TensorFormat, pack

from tests.judged import references
from tests.parity import onnx_models
from tests.parity.onnx_models import needs_onnx

pytestmark = needs_onnx

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def engine() -> Iterator[OnnxEngine]:
    with get_onnx_engine(time_limit=20) as found:
        yield found


@pytest.fixture(scope="module")
def oracle() -> Iterator[OnnxEngine]:
    with get_onnx_engine("onnxruntime") as found:
        yield found


def packed(
    model: Any, inputs: Mapping[str, TensorFormat] | None = None, outputs: Mapping[str, TensorFormat] | None = None,
    folder: Path | str = "",
) -> bytes:  # fmt: skip
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return pack(data, str(folder), inputs or {}, outputs or {})


def some(seed: int = 0, count: int = 5) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 1, 2, 8, 8)).astype(np.float32)


# -- engines


def test_both_oracles_prove_themselves_and_agree(engine: OnnxEngine, oracle: OnnxEngine) -> None:
    assert (engine.record.name, oracle.record.name) == ("onnx-reference", "onnxruntime")
    blob = packed(onnx_models.classifier())
    ours, theirs = engine.run(blob, some())[0], oracle.run(blob, some())[0]
    assert ours.shape == (5, 1, 6)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert len(np.unique(ours.round(4), axis=0)) == 5


def test_the_values_are_those_by_hand(engine: OnnxEngine) -> None:
    from onnx import helper

    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = np.array([[1, 2], [3, -4], [0.5, 0]], np.float32)
    model = onnx_models.model(nodes, [("x", "float32", [1, 3])], [("y", "float32", [1, 2])], {"w": weights})
    (out,) = engine.run(packed(model), np.array([[[1, 2, 4]]], np.float32))
    assert out.tolist() == [[[9.0, -6.0]]]


def test_a_dynamic_batch_is_one_vector_and_any_other_must_be_said(engine: OnnxEngine) -> None:
    assert engine.info(packed(onnx_models.classifier(dynamic=True))).inputs[0].shape == (1, 2, 8, 8)
    model = onnx_models.single("Relu", [1, "length"])
    with pytest.raises(ConfigError) as caught:
        engine.info(packed(model), "net")
    assert caught.value.kind == "onnx-model"
    assert "dynamic shape" in str(caught.value)
    assert engine.info(packed(model, {"x": TensorFormat(shape=(1, 7))})).outputs[0].shape == (1, 7)
    for wrong in ((2, 2, 7), (0,)):
        with pytest.raises(ConfigError):
            engine.info(packed(model, {"x": TensorFormat(shape=wrong)}))


# -- the device's formats


def test_integers_and_channels_last(engine: OnnxEngine) -> None:
    """A device with int8 tensors, channels last: the same numbers as the float model's, converted by hand."""
    blob = packed(
        onnx_models.single("Relu", [1, 2, 2, 3]),
        {"x": TensorFormat("int8", 0.5, 3, permute=(0, 2, 3, 1))},
        {"y": TensorFormat("int8", 0.25, -100, permute=(0, 2, 3, 1))},
    )
    info = engine.info(blob)
    assert (info.inputs[0].shape, info.inputs[0].dtype) == ((1, 2, 3, 2), "int8")
    given = np.arange(-6, 6, dtype=np.int8).reshape(1, 1, 2, 3, 2)
    (out,) = engine.run(blob, given)
    real = np.maximum((given.astype(float) - 3) * 0.5, 0)
    assert out.tolist() == np.clip(np.rint(real / 0.25) - 100, -128, 127).astype(np.int8).tolist()
    assert out.dtype == np.int8


@pytest.mark.parametrize(("rule", "expected"), [("round", [1, 2, -1, -2]), ("round-even", [0, 2, 0, -2]),
                                                ("truncate", [0, 1, 0, -1]), ("floor", [0, 1, -1, -2])])  # fmt: skip
def test_outputs_are_rounded_as_the_device_does(engine: OnnxEngine, rule: str, expected: list[int]) -> None:
    blob = packed(onnx_models.single("Identity", [1, 4]), {}, {"y": TensorFormat("int8", 1.0, rule=rule)})
    (out,) = engine.run(blob, np.array([[[0.5, 1.5, -0.5, -1.5]]], np.float32))
    assert out.reshape(-1).tolist() == expected


def test_a_value_that_no_integer_stands_for_is_said(engine: OnnxEngine) -> None:
    blob = packed(onnx_models.single("Log", [1, 2]), {}, {"y": TensorFormat("int8", 1.0)})
    with pytest.raises(InfrastructureError) as caught:
        engine.run(blob, np.array([[[-1.0, 0.0]]], np.float32))
    assert "no integer stands for" in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        ({"z": TensorFormat()}, {}, "speaks of 'z'"),
        ({}, {"y": TensorFormat("int8")}, "its `scale`"),
        ({"x": TensorFormat("int8", 0.1, permute=(0, 0))}, {}, "each once"),
        ({"x": TensorFormat("float32", 0.1)}, {}, "a scale for integers"),
        ({}, {"y": TensorFormat("float64")}, "float64"),
    ],
)
def test_formats_that_do_not_fit(engine: OnnxEngine, inputs: Any, outputs: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        engine.info(packed(onnx_models.single("Relu", [1, 2]), inputs, outputs))
    assert caught.value.kind == "onnx-format"
    assert words in str(caught.value)


def test_integer_models_pass_through(engine: OnnxEngine) -> None:
    from onnx import helper

    nodes = [helper.make_node("DequantizeLinear", ["x", "s"], ["f"]), helper.make_node("Relu", ["f"], ["r"]),
             helper.make_node("QuantizeLinear", ["r", "s", "z"], ["y"])]  # fmt: skip
    constants = {"s": np.float32(0.5), "z": np.int8(0)}
    blob = packed(onnx_models.model(nodes, [("x", "int8", [1, 3])], [("y", "int8", [1, 3])], constants))
    info = engine.info(blob)
    assert [t.dtype for t in (*info.inputs, *info.outputs)] == ["int8", "int8"]
    assert engine.run(blob, np.array([[[-4, 0, 5]]], np.int8))[0].tolist() == [[[0, 0, 5]]]
    (middle,) = engine.tensors(blob, np.array([[[-4, 0, 5]]], np.int8), [info.operators[1].outputs[0]])
    assert middle.tolist() == [[0.0, 0.0, 2.5]], "the converted model keeps the names"
    producer = info.producer(info.outputs[0].index)
    assert producer is not None
    assert producer.name == "Relu", "the class of an output is that of the operator that computes it"
    with pytest.raises(ConfigError):
        engine.info(packed(onnx_models.single("Relu", [1, 2], dtype="float16"), {"x": TensorFormat("int16")}))


# -- files that are broken or hostile


def refused(engine: OnnxEngine, blob: bytes) -> str:
    with pytest.raises((ConfigError, InfrastructureError)) as caught:
        engine.info(blob, "net")
    assert caught.value.kind in {"onnx-model", "engine-refused-model", "engine-timeout"}
    return str(caught.value)


def test_what_is_no_model(engine: OnnxEngine) -> None:
    assert "no ONNX model" in refused(engine, packed(b""))
    assert "no ONNX model" in refused(engine, packed(b"\xff" * 100))
    whole = onnx_models.classifier().SerializeToString()
    for cut in range(0, len(whole) - 1, 97):
        refused(engine, packed(whole[:cut]))


def test_what_the_specification_does_not_describe_is_refused(engine: OnnxEngine) -> None:
    from onnx import helper

    strange = helper.make_node("Thing", ["x"], ["y"], domain="my.vendor")
    made = onnx_models.model([strange], [("x", "float32", [1, 4])], [("y", "float32", [1, 4])])
    made.opset_import.append(helper.make_opsetid("my.vendor", 1))
    assert "operator Thing is of the domain 'my.vendor'" in refused(engine, packed(made))
    body = [helper.make_node("Relu", ["a"], ["b"])]
    known = helper.make_function("my.vendor", "Thing", ["a"], ["b"], body, [helper.make_opsetid("", 13)])
    made.functions.append(known)
    (found,) = engine.run(packed(made), [np.array([[[-1, 0, 2, 3]]], np.float32)])
    assert found.tolist() == [[[0, 0, 2, 3]]]
    newer = onnx_models.model(
        [helper.make_node("Relu", ["x"], ["y"])], [("x", "float32", [1])], [("y", "float32", [1])], opset=999
    )
    assert "operators are of version 999" in refused(engine, packed(newer))


def test_models_that_cannot_be_judged(engine: OnnxEngine) -> None:
    from onnx import helper

    assert "random numbers" in refused(engine, packed(onnx_models.single("RandomNormalLike", [1, 2])))
    bad = onnx_models.single("Relu", [1, 2])
    bad.graph.node[0].input[0] = "nowhere"
    assert "breaks the ONNX specification" in refused(engine, packed(bad))
    custom = onnx_models.single("Relu", [1, 2])
    custom.graph.node[0].domain = "com.vendor"
    custom.opset_import.append(helper.make_opsetid("com.vendor", 1))
    assert "com.vendor" in refused(engine, packed(custom))
    assert "elements" in refused(engine, packed(onnx_models.single("Relu", [1 << 13, 1 << 13])))
    assert "which is not compared" in refused(engine, packed(onnx_models.single("Identity", [1], dtype="complex64")))


def test_a_loop_without_end_ends(engine: OnnxEngine) -> None:
    from onnx import TensorProto, helper

    def port(name: str, kind: int, shape: list[int]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["v"], ["v2"])],
        "body",
        [port("i", TensorProto.INT64, []), port("c", TensorProto.BOOL, []), port("v", TensorProto.FLOAT, [1])],
        [port("c2", TensorProto.BOOL, []), port("v2", TensorProto.FLOAT, [1])],
    )
    nodes = [helper.make_node("Loop", ["", "t", "x"], ["y"], body=body)]
    model = onnx_models.model(nodes, [("x", "float32", [1])], [("y", "float32", [1])], {"t": np.bool_(True)})
    with get_onnx_engine(time_limit=1, self_test=False) as own, pytest.raises(InfrastructureError) as caught:
        own.info(packed(model), "endless")
    assert caught.value.kind == "engine-timeout"


def external(model: Any, location: str, **said: int) -> Any:
    """The first constant of a model moved into another file."""
    import onnx

    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **{k: str(v) for k, v in said.items()}}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


def test_external_data_beside_the_model_is_read(engine: OnnxEngine, tmp_path: Path) -> None:
    whole = onnx_models.classifier()
    raw = whole.graph.initializer[0].raw_data
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(b"1234" + raw)
    moved = external(onnx_models.classifier(), "data/weights.bin", offset=4, length=len(raw))
    blob = packed(moved, folder=tmp_path)
    assert engine.run(blob, some())[0].tobytes() == engine.run(packed(whole), some())[0].tobytes()
    digest = engine.info(blob).sha256
    (tmp_path / "data" / "weights.bin").write_bytes(b"1234" + bytes(len(raw)))
    engine._infos.clear()
    assert engine.info(blob).sha256 != digest, "other weights are another model"


@pytest.mark.parametrize(
    "way", ["up", "absolute", "link", "folder-link", "fifo", "long", "negative", "gone", "folder", "empty"]
)
def test_external_data_elsewhere_is_not_read(engine: OnnxEngine, tmp_path: Path, way: str) -> None:
    home, secret = tmp_path / "model", tmp_path / "secret.bin"
    home.mkdir()
    secret.write_bytes(bytes(288))
    (home / "short.bin").write_bytes(bytes(10))
    (home / "link.bin").symlink_to(secret)
    (home / "way").symlink_to(tmp_path)
    os.mkfifo(home / "fifo")
    location, said = {
        "up": ("../secret.bin", {}), "absolute": (str(secret), {}), "link": ("link.bin", {}),
        "folder-link": ("way/secret.bin", {}), "fifo": ("fifo", {}), "long": ("short.bin", {"length": 288}),
        "negative": ("short.bin", {"offset": -5}), "gone": ("gone.bin", {}), "folder": (".", {}), "empty": ("", {}),
    }[way]  # fmt: skip
    text = refused(engine, packed(external(onnx_models.classifier(), location, **said), folder=home))
    assert any(
        word in text for word in ("outside of the model's folder", "no regular file", "which has 10", "cannot be read")
    )
    assert ("outside" in text) == (way in {"up", "absolute", "link", "folder-link", "empty"})


def test_a_model_alone_may_not_name_files(engine: OnnxEngine) -> None:
    assert "in another file" in refused(engine, packed(external(onnx_models.classifier(), "weights.bin")))


# -- diagnosis


def test_oracles_that_differ_by_rounding_agree(engine: OnnxEngine, oracle: OnnxEngine) -> None:
    blob = packed(onnx_models.classifier())
    assert first_op_by_oracle(engine, oracle, blob, [some(count=1)]) is None


def test_an_oracle_with_another_kernel_is_named(engine: OnnxEngine, oracle: OnnxEngine) -> None:
    class Wrong(OnnxEngine):
        def __init__(self) -> None:
            self.name, self._record, self._infos = "wrong", oracle.record, {}

        def tensors(self, *args: Any, **named: Any) -> list[Array]:
            found = oracle.tensors(*args, **named)
            return [value if number != 3 else value + np.float32(0.01) for number, value in enumerate(found)]

        def close(self) -> None:
            pass

    found = first_op_by_oracle(engine, Wrong(), packed(onnx_models.classifier()), [some(count=1)])
    assert found is not None
    assert found.operator.name == "Gemm"


# -- a build, and a device


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"reference": {"onnx": "a.onnx", "table": "t"}}, "one of"),
        ({"reference": {"table": "t", "inputs": {"x": {}}}}, "for an `onnx` reference"),
        ({"reference": {"onnx": "a.onnx", "inputs": {"x": {"scale": 0.1}}}}, "say the device's `dtype`"),
        ({"reference": {"onnx": "a.onnx", "inputs": {"x": {"zero_point": 1}}}}, "goes with a `scale`"),
        ({"reference": {"onnx": "a.onnx"}, "vela": {}}, "`vela` says how"),
        ({"reference": {"onnx": "a.onnx"}, "slot": 1}, "`compiled`"),
    ],
)
def test_what_does_not_fit_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        ModelConfig.model_validate(said)
    assert words in str(caught.value)


INT8 = {"inputs": {"x": {"dtype": "int8", "scale": 0.02, "zero_point": 4, "permute": [0, 2, 3, 1]}},
        "outputs": {"y": {"dtype": "int8", "scale": 0.00390625, "zero_point": -128}}}  # fmt: skip


def a_build(folder: Path, data: bytes, said: Mapping[str, Any] = INT8, **parity: Any) -> Path:
    (folder / "net.onnx").write_bytes(data)
    build = {"name": "onnx", "models": {"net": {"reference": {"onnx": "net.onnx", **said}}}, "parity": parity}
    (folder / "build.yaml").write_text(yaml.safe_dump(build))
    return folder / "build.yaml"


def test_check_looks_into_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(a_build(tmp_path, onnx_models.classifier().SerializeToString()))]) == 0
    assert main(["check", str(a_build(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"))]) == 4
    assert "not an ONNX model" in capsys.readouterr().err
    assert main(["check", str(a_build(tmp_path, b"\xff" * 64))]) == 4
    assert "no ONNX model" in capsys.readouterr().err
    odd = {"outputs": {"probabilities": {"dtype": "int8", "scale": 1.0}}}
    assert main(["check", str(a_build(tmp_path, onnx_models.classifier().SerializeToString(), odd))]) == 4
    said = capsys.readouterr().err
    assert "speaks of 'probabilities'" in said
    assert "build.yaml:" in said


class OnnxBoard:
    """A board whose compiler rounds as onnxruntime does; `wrong` changes one output of one vector by so many units."""

    def __init__(self, blob: bytes, oracle: OnnxEngine, wrong: tuple[int, int] = (-1, 0)) -> None:
        self.blob, self.oracle, self.wrong, self.count = blob, oracle, wrong, 0
        self.device: Any = SimpleNamespace(test_commands=self, client=SimpleNamespace(features=()))

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        info = self.oracle.info(self.blob)
        arrays = np.frombuffer(b"".join(inputs), info.inputs[0].dtype).reshape(len(inputs), *info.inputs[0].shape)
        (outputs,) = self.oracle.run(self.blob, arrays)
        answers = []
        for output in outputs:
            changed = output.copy()
            changed.reshape(-1)[2] += self.wrong[1] if self.count == self.wrong[0] else 0
            answers.append(changed.tobytes())
            self.count += 1
        assert len(answers[0]) == output_bytes
        return answers

    def missing(self, wanted: Sequence[str]) -> list[str]:
        return []

    def progress(self, what: str) -> Callable[[int, int], None]:
        assert what
        return lambda done, total: None


@pytest.fixture
def judge(tmp_path: Path, oracle: OnnxEngine) -> Iterator[Callable[..., tuple[Report, Any]]]:
    with references(tmp_path) as made:

        def judged(said: Mapping[str, Any], wrong: tuple[int, int] = (-1, 0), **parity: Any) -> tuple[Report, Any]:
            build = load_build(a_build(tmp_path, onnx_models.classifier().SerializeToString(), said, **parity))
            declared = build.models["net"].reference
            assert declared is not None
            reference = made(build, OnnxBoard(onnx_blob(declared), oracle, wrong))
            return reference.report, reference.agrees("net", count=60)

        yield judged


def failed(report: Report) -> set[str]:
    return {finding.check.id for finding in report.failed}


def test_an_int8_device_is_judged_and_a_wrong_one_replayed(
    judge: Callable[..., tuple[Report, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    lsb = {
        "name": "rounding",
        "op": "Softmax",
        "measured": True,
        "reason": "another order of additions before rounding",
    }
    report, result = judge(INT8, tolerances=[lsb])
    assert report.ok, report.failed
    assert result.engine.name == "onnx-reference"
    report, result = judge(INT8, (11, 2), tolerances=[lsb])
    assert failed(report) == {"parity.within-tolerance"}
    assert result.comparison.outputs[0].op == "Softmax"
    assert "made on the device" in result.undiagnosed
    assert result.failure is not None
    assert main(["replay", str(result.failure)]) == 1
    said = capsys.readouterr().out
    assert "onnx-reference" in said
    assert "made on the device" in said


def test_a_float_device_needs_a_named_tolerance(judge: Callable[..., tuple[Report, Any]]) -> None:
    report, _ = judge({})
    assert "parity.bit-exact" in failed(report), "another order of additions is not bit-exact, and nothing excuses it"
    near = {
        "name": "order",
        "op": "Softmax",
        "dtype": "float32",
        "abs": 1e-6,
        "rel": 1e-4,
        "reason": "order of additions",
    }
    report, _ = judge({}, tolerances=[near])
    assert report.ok, report.failed
    report, _ = judge({}, (11, 1), tolerances=[near])
    assert failed(report) == {"parity.within-tolerance"}
