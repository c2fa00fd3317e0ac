"""Models that Vela compiled: read, held to their reference, refused where they do not belong together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from tfm_harness.cli.main import main
from tfm_harness.config.loading import load_build, load_target
from tfm_harness.config.model import ModelConfig
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Report, Status
from tfm_harness.parity import small_models
from tfm_harness.parity.compiled import mismatches, read_compiled
from tfm_harness.parity.engine_choice import get_engine
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.vela import installed_vela, judge_compiled

from tests.judged import references

DENSE = small_models.dense()
needs_vela = pytest.mark.skipif(
    not installed_vela(), reason="ethos-u-vela is not installed (pip install 'tfm-harness[ethos-u]')"
)

Compile = Callable[..., bytes]


@pytest.fixture(scope="module")
def vela(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a model as users do; each model and set of options once."""
    kept: dict[tuple[bytes, tuple[str, ...]], bytes] = {}

    def compile_model(model: bytes, *options: str) -> bytes:
        if (model, options) not in kept:
            folder = tmp_path_factory.mktemp("vela")
            (folder / "m.tflite").write_bytes(model)
            command = [sys.executable, "-m", "ethosu.vela", "m.tflite", "--output-dir", ".", *options]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
            kept[model, options] = (folder / "m_vela.tflite").read_bytes()
        return kept[model, options]

    return compile_model


def problems(compiled: bytes, reference: bytes) -> list[str]:
    info = parse_model(reference, name="before.tflite")
    return list(mismatches(read_compiled(compiled), info, compiled, reference))


def judged(compiled: bytes, reference: bytes, **said: Any) -> dict[str, tuple[bool, str]]:
    report = Report()
    judge_compiled(read_compiled(compiled), parse_model(reference), reference, report, name="net", **said)
    return {finding.check.id: (finding.passed, finding.seen) for finding in report.findings}


# -- what a file says, without Vela


@pytest.mark.parametrize(
    ("config", "accelerator"),
    [
        (0x0000_1005, "ethos-u55-32"), (0x0000_1006, "ethos-u55-64"), (0x0000_1807, "ethos-u55-128"),
        (0x0000_3008, "ethos-u55-256"), (0x1000_3008, "ethos-u65-256"), (0x1000_6009, "ethos-u65-512"),
        (0x2000_0117, "ethos-u85-128"), (0x2000_261B, "ethos-u85-2048"),
    ],
)  # fmt: skip
def test_the_accelerator_is_read(config: int, accelerator: str) -> None:
    """Configuration words as Vela 5.2 wrote them for each --accelerator-config."""
    assert read_compiled(small_models.compiled_dense(config=config)).accelerator == accelerator


def test_the_version_is_read_where_the_file_says_it() -> None:
    assert read_compiled(small_models.compiled_dense()).vela == ""
    assert read_compiled(small_models.compiled_dense(description="Vela 4.2.0 Optimised")).vela == "4.2.0"


def test_a_payload_of_another_form_tells_no_accelerator() -> None:
    found = read_compiled(small_models.compiled_dense(head=b"COP2"))
    assert (found.accelerator, found.forms) == ("", ("COP2",))
    seen = judged(small_models.compiled_dense(head=b"COP2"), DENSE)
    assert not seen["parity.compiled-proven"][0]


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        (DENSE, "model-not-compiled", "an operator ethos-u"),
        (small_models.compiled_dense(config=0x0000_300F), "model-malformed", "0x0000300f"),
        (small_models.compiled_dense(config=0x7000_3008), "model-malformed", "0x70003008"),
        (small_models.compiled_dense(head=b"JUNK"), "model-malformed", "begins with COP1"),
        (b"JUNK", "model-malformed", "TFL3"),
    ],
)
def test_other_files_are_refused(model: bytes, kind: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_compiled(model)
    assert caught.value.kind == kind
    assert words in str(caught.value)


def test_damage_is_an_error_of_ours_or_none() -> None:
    """Every byte of a compiled file changed, and every length cut off."""
    model = small_models.compiled_dense()
    info = parse_model(DENSE)
    damaged = [model[:n] for n in range(len(model))]
    damaged += [model[:n] + bytes([model[n] ^ 0xFF]) + model[n + 1 :] for n in range(len(model))]
    for each in damaged:
        try:
            found = read_compiled(each)
            list(mismatches(found, info, each, DENSE))
        except ConfigError:
            continue


def test_the_interface_must_be_the_references() -> None:
    assert problems(small_models.compiled_dense(), DENSE) == []
    assert "scale 0.5" in problems(small_models.compiled_dense(scale=0.5), DENSE)[0]
    assert "output 0 is int8 [1, 8]" in problems(small_models.compiled_dense(), small_models.dense(units=9))[0]
    assert "2 inputs" not in problems(small_models.compiled_dense(), DENSE)
    assert (
        "1 inputs, and the reference has 2" in problems(small_models.compiled_dense(), small_models.two_in_two_out())[0]
    )
    assert "itself" in problems(small_models.compiled_dense(), small_models.compiled_dense())[0]


# -- a build's words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"compiled": "a.tflite"}, "either `file`"),
        ({"reference": "b.tflite"}, "name what Vela made of it under `compiled`"),
        ({"compiled": "a.tflite", "file": "b.tflite"}, "the model before Vela under `reference`"),
        ({"compiled": "a.tflite", "reference": {"table": "t.txt"}}, "the model before Vela under `reference`"),
        ({"file": "b.tflite", "vela": {"version": "5.2.0"}}, "there is no `compiled`"),
        ({"compiled": "a", "reference": "b", "vela": {"options": ["--output-dir=x"]}}, "sets this option itself"),
        ({"reference": {"tflite": "b.tflite", "table": "t"}}, "one of"),
    ],
)
def test_what_does_not_fit_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        ModelConfig.model_validate(said)
    assert words in str(caught.value)


BUILD = {
    "images": [],
    "protocol": "none",
    "models": {"net": {"compiled": "net_vela.tflite", "reference": "net.tflite"}},
}


def a_build(folder: Path, compiled: bytes, reference: bytes, **said: Any) -> Path:
    (folder / "net_vela.tflite").write_bytes(compiled)
    (folder / "net.tflite").write_bytes(reference)
    build = {**BUILD, "models": {"net": {**BUILD["models"]["net"], **said}}}  # type: ignore[index]
    (folder / "build.yaml").write_text(yaml.safe_dump({"name": "npu", **build}))
    return folder / "build.yaml"


def a_target(folder: Path, **said: Any) -> Path:
    target = {"kind": "fvp", "consoles": {"ns": "telnetterminal0"}, **said}
    (folder / "fvp.yaml").write_text(yaml.safe_dump(target))
    return folder / "fvp.yaml"


def test_check_finds_a_pair_that_does_not_belong_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(a_build(tmp_path, small_models.compiled_dense(), DENSE))]) == 0
    path = a_build(tmp_path, small_models.compiled_dense(scale=0.5), DENSE)
    assert main(["check", str(path)]) == 4
    said = capsys.readouterr().err
    assert "models.net.compiled: not compiled from net.tflite: output 0" in said
    assert "build.yaml:" in said
    assert main(["check", str(a_build(tmp_path, DENSE, DENSE))]) == 4
    assert "is not compiled for an Ethos-U" in capsys.readouterr().err


def test_check_finds_a_compiled_model_given_as_a_plain_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.tflite").write_bytes(small_models.compiled_dense())
    build = {"name": "npu", "models": {"net": {"file": "net.tflite"}}}
    (tmp_path / "build.yaml").write_text(yaml.safe_dump(build))
    assert main(["check", str(tmp_path / "build.yaml")]) == 4
    assert "name it under `compiled`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"parameters": {"ethosu.num_macs": 256}}, ""),
        ({"npu": {"accelerator": "ethos-u55", "macs": 256}}, ""),
        ({"parameters": {"ethosu.num_macs": 128}}, "has ethos-u55-128"),
        ({"npu": {"accelerator": "ethos-u65", "macs": 256}, "binary": "my_fvp"}, "has ethos-u65-256"),
        ({"binary": "FVP_Corstone_SSE-315", "parameters": {"mps4_board.subsystem.ethosu.num_macs": 256}},
         "has ethos-u65-256"),
        ({}, "declares no NPU"),
    ],
)  # fmt: skip
def test_a_target_with_another_npu_or_none_is_found_by_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: dict[str, Any], words: str
) -> None:
    build, path = a_build(tmp_path, small_models.compiled_dense(), DENSE), a_target(tmp_path, **target)
    main(["check", str(path), str(build)])
    said = capsys.readouterr().err
    assert ("compiled for ethos-u55-256" in said) == bool(words)
    assert words in said


def test_qemu_has_no_npu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = a_build(tmp_path, small_models.compiled_dense(), DENSE)
    assert main(["check", "targets/qemu-an547.yaml", str(build)]) == 4
    assert "target 'qemu-an547' declares no NPU" in capsys.readouterr().err
    (tmp_path / "qemu.yaml").write_text(
        "{kind: qemu, machine: mps3-an547, consoles: {ns: uart0}, npu: {accelerator: ethos-u55, macs: 256}}"
    )
    assert main(["check", str(tmp_path / "qemu.yaml")]) == 4
    assert "QEMU emulates no Ethos-U" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"npu": {"accelerator": "ethos-u55", "macs": 512}}, "not 512"),
        ({"npu": {"accelerator": "ethos-u55", "macs": 128}, "parameters": {"ethosu.num_macs": 256}}, "says 256"),
        ({"npu": {"accelerator": "ethos-u65", "macs": 256}}, "has an ethos-u55"),
        ({"parameters": {"ethosu.num_macs": 100}}, "not 100"),
    ],
)
def test_an_npu_that_contradicts_itself_is_refused(tmp_path: Path, said: dict[str, Any], words: str) -> None:
    more = {"parameters": {"ethosu.num_macs": said["npu"]["macs"]}} if words == "has an ethos-u55" else {}
    with pytest.raises(ConfigError) as caught:
        load_target(a_target(tmp_path, **{**said, **more}))
    assert words in str(caught.value)


def test_an_fvp_is_started_with_its_npu(tmp_path: Path) -> None:
    npu = {"npu": {"accelerator": "ethos-u55", "macs": 64}}
    assert load_target(a_target(tmp_path, **npu)).all_parameters == {"ethosu.num_macs": 64}  # type: ignore[attr-defined]
    mps4 = {"npu": {"accelerator": "ethos-u85", "macs": 1024}, "board": "mps4_board", "binary": "FVP_Corstone_SSE-320"}
    found = load_target(a_target(tmp_path, **mps4))
    assert found.all_parameters == {"mps4_board.subsystem.ethosu.num_macs": 1024}  # type: ignore[attr-defined]


# -- with Vela


@needs_vela
@pytest.mark.parametrize(
    ("model", "options"),
    [
        (DENSE, ()),
        (DENSE, ("--accelerator-config", "ethos-u85-512")),
        (DENSE, ("--accelerator-config", "ethos-u65-512")),
        (small_models.mixed(), ()),
        (small_models.mixed(), ("--debug-force-legacy-core",)),
        (small_models.two_in_two_out(), ("--accelerator-config", "ethos-u55-32")),
    ],
)
def test_what_vela_made_belongs_to_its_reference(vela: Compile, model: bytes, options: Sequence[str]) -> None:
    compiled = vela(model, *options)
    assert problems(compiled, model) == []
    seen = judged(compiled, model)
    assert seen["parity.compiled-proven"] == (True, "")
    assert seen["parity.compiled-stream"] == (True, "")


@needs_vela
def test_other_weights_are_found(vela: Compile) -> None:
    """The same interface and the same layers: only compiling again tells that it is another model."""
    compiled, other = vela(DENSE), small_models.dense(seed=2)
    assert problems(compiled, other) == []
    # The file does not say which Vela made it: with another one's commands nothing is proven, and that is said.
    assert "does not say `vela.version`" in judged(compiled, other)["parity.compiled-proven"][1]
    seen = judged(compiled, other, version=installed_vela(), options=())
    assert seen["parity.compiled-stream"][0] is False
    legacy = vela(DENSE, "--debug-force-legacy-core")
    assert judged(legacy, other, options=())["parity.compiled-stream"][0] is False


@needs_vela
def test_an_operator_left_to_the_cpu_must_stand_in_the_reference(vela: Compile) -> None:
    compiled = vela(small_models.mixed())
    assert "FULLY_CONNECTED" in problems(compiled, small_models.mixed(seed=12))[0]
    assert "with these tensors and constants" in problems(compiled, small_models.mixed(seed=12))[0]


@needs_vela
def test_another_version_proves_nothing_and_says_so() -> None:
    compiled = small_models.compiled_dense(description="Vela 4.2.0 Optimised")
    seen = judged(compiled, DENSE)
    assert "Vela 4.2.0, and" in seen["parity.compiled-proven"][1]
    assert seen["parity.vela-reference"][0]
    old = judged(small_models.compiled_dense(description="Vela 3.9.0 Optimised"), DENSE)
    assert "older TensorFlow" in old["parity.vela-reference"][1]
    with pytest.raises(ConfigError) as caught:
        judged(compiled, DENSE, version="5.0.0")
    assert caught.value.kind == "vela-version"


@needs_vela
def test_a_reference_that_vela_refuses_proves_nothing() -> None:
    broken = DENSE[:200] + bytes(len(DENSE) - 200)
    seen = judged(small_models.compiled_dense(), DENSE, options=("--system-config", "no-such-system"))
    assert "does not compile net" in seen["parity.compiled-proven"][1]
    assert broken != DENSE


# -- the device is judged against the model before Vela


class NpuBoard:
    """A board whose NPU computes what the reference says, but for a vector that `wrong` names."""

    def __init__(self, wrong: int | None = None) -> None:
        self.wrong, self.count = wrong, 0
        self.device: Any = SimpleNamespace(test_commands=self, client=SimpleNamespace(features=()))

    def batch(self, inputs: Sequence[bytes], output_bytes: int) -> list[bytes]:
        with get_engine() as engine:
            arrays = np.frombuffer(b"".join(inputs), np.int8).reshape(len(inputs), 1, 16)
            outputs = engine.run(DENSE, arrays)[0]
        answers = []
        for output in outputs:
            answers.append(bytes([output.tobytes()[0] ^ (self.count == self.wrong)]) + output.tobytes()[1:])
            self.count += 1
        assert len(answers[0]) == output_bytes
        return answers

    def trace(self, data: bytes) -> list[tuple[int, int, int, int]]:
        raise AssertionError(f"a trace of {len(data)} bytes was asked for: an NPU's operators are others")

    def missing(self, wanted: Sequence[str]) -> list[str]:
        return []

    def progress(self, what: str) -> Callable[[int, int], None]:
        assert what
        return lambda done, total: None


@pytest.fixture
def estimates() -> list[float | None]:
    """Vela's estimates of what was judged."""
    return []


@pytest.fixture
def pair(tmp_path: Path, estimates: list[float | None]) -> Iterator[Callable[[bytes, NpuBoard], tuple[Report, Any]]]:
    with references(tmp_path) as made:

        def judge(compiled: bytes, board: NpuBoard) -> tuple[Report, Any]:
            reference = made(load_build(a_build(tmp_path, compiled, DENSE)), board)
            estimates.append(reference.estimate("net"))
            return reference.report, reference.agrees("net", count=40)

        yield judge


def test_a_right_npu_passes_and_one_wrong_bit_fails(pair: Callable[[bytes, NpuBoard], tuple[Report, Any]]) -> None:
    report, result = pair(small_models.compiled_dense(), NpuBoard())
    assert result.comparison.exact, report.failed
    assert report.ok, report.failed
    report, result = pair(small_models.compiled_dense(), NpuBoard(wrong=7))
    assert not result.comparison.passed
    assert "parity.bit-exact" in {finding.check.id for finding in report.failed}
    assert result.comparison.failing == (7,)


@needs_vela
def test_the_pair_is_held_together_in_the_run(
    pair: Callable[[bytes, NpuBoard], tuple[Report, Any]], vela: Compile, estimates: list[float | None]
) -> None:
    report, _ = pair(vela(DENSE), NpuBoard())
    assert estimates[0] is not None
    assert 1e-7 < estimates[0] < 1e-2, "seconds of a tiny model on an NPU of 500 MHz"
    proven = {finding.check.id: report.status(finding) for finding in report.findings}
    assert proven["parity.compiled-stream"] is Status.PASSED
