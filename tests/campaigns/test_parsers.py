"""Every parser of the package that takes bytes, text or a file of others is fuzzed, or says why not."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError
from tfm_harness.farm.engines.packed import pack, unpack
from tfm_harness.parity.dataset import read_dataset
from tfm_harness.parity.inputs import load_inputs
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.protocol.zephyr_shell.parse import csr_from_pem
from tfm_harness.stimulus.trace import load_trace

from tests.campaigns.parsers import parsers_called
from tests.verify.fuzz_parsers import targets

PACKAGE = Path(__file__).resolve().parents[2] / "harness" / "tfm_harness"
VERBS = (
    "parse", "read", "load", "decode", "detect", "scan", "unpack", "unseal", "check_", "verify_", "judge_", "open_",
    "feed", "split", "find_", "segments", "from_wire",
)  # fmt: skip
GIVEN = {"bytes", "bytes | bytearray", "bytes | memoryview", "str | bytes", "str", "Path", "BinaryIO", "bytearray"}
NOT_FUZZED = {
    "bench/": "names of targets and builds; they read through config",
    "boards/lock_files.py:open_lock_file": "tests/boards/test_host_locks.py garbles lock files",
    "boards/mps3/card.py:find_layout": "a folder of a mounted card; names only",
    "processes.py:find_program": "looks for a program",
    "console/": "transports; what they hand on goes into the parsers here",
    "cli/": "commands: their files go through the parsers here; tests/cli covers the commands",
    "config/positions.py:read": "`parse` with a file",
    "coverage/suites.py:read_suite": "READMEs of suites, whose code Python runs as well",
    "evidence/badge.py:verify_badge": "a folder: its files go through the parsers here; tests/evidence damages each",
    "evidence/opened.py:open_bundle": "a folder: its files go through the parsers here; tests/evidence damages each",
    "evidence/verified.py:verify_bundle": "as open_bundle",
    "evidence/opened.py:read_statements": "a file, read as it is",
    "evidence/signers.py:load_signer": "the user's own private key, read by the library that signs",
    "evidence/bom.py:check_bom": "validates what the harness itself made, with a library that is optional",
    "files.py:": "the reader itself (tests/test_files.py)",
    "history/": "the store's own rows, and files through report/storage.py",
    "parity/adapter.py:": "engines: models go to an interpreter in a process of its own",
    "parity/onnx_engine.py:": "runs in the engine's process",
    "parity/worker.py:_": "runs in the engine's process",
    "parity/model_info.py:ModelInfo.unpack_outputs": "cuts bytes of a known length",
    "protocol/clients.py:open_client": "a protocol's name",
    "protocol/mlperf_tiny/client.py:": "sends; answers are parsed in answers.py",
    "stimulus/pico/simulator.py:": "a simulator",
    "testing/": "simulators and builders for tests",
}
"""Parts of `module:function`, with the reason."""


@cache
def parsers() -> frozenset[str]:
    """``module.py:qualified name`` of each public function whose first argument is data or a file to read."""
    return frozenset(_parsers())


def _parsers() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.parse(path.read_text()).body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            for function in inside:
                if isinstance(function, ast.FunctionDef) and _takes_data(function):
                    yield f"{name}:{prefix}{function.name}"


def _takes_data(function: ast.FunctionDef) -> bool:
    arguments = [one for one in function.args.posonlyargs + function.args.args if one.arg not in {"self", "cls"}]
    if function.name.startswith("_") or not function.name.startswith(VERBS) or not arguments:
        return False
    return arguments[0].annotation is not None and ast.unparse(arguments[0].annotation) in GIVEN


@pytest.fixture(scope="module")
def every() -> dict[str, tuple[object, list[bytes]]]:
    return targets()  # type: ignore[return-value]


def test_every_parser_is_fuzzed(every: dict[str, tuple[object, list[bytes]]]) -> None:
    """By what the targets' seeds lead into, not by a list of names."""
    called = {f"{module}:{name}" for module, name in parsers_called(every)}  # type: ignore[arg-type]
    left = {one for one in parsers() if one not in called and not any(one.startswith(part) for part in NOT_FUZZED)}
    assert not left, "add a target to tests/campaigns/parsers.py, or a reason here"


def test_the_reasons_are_needed() -> None:
    names = parsers()
    assert len(names) > 80
    useless = {part for part in NOT_FUZZED if not any(name.startswith(part) for name in names)}
    assert not useless


def test_each_target_takes_a_seed_whole(every: dict[str, tuple[object, list[bytes]]]) -> None:
    """Mutations of what is refused at its first byte would test nothing."""
    refused = []
    for name, (target, seeds) in every.items():
        for data in seeds:
            try:
                target(data)  # type: ignore[operator]
            except HarnessError:
                continue
            break
        else:
            refused.append(name)
    assert set(refused) <= REFUSED, refused


REFUSED = {"bom", "vela"}
"""Seeds of these need an optional package (cyclonedx's schemas, Vela), and are refused without it."""


def npy(header: str) -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(16)


@pytest.mark.parametrize(
    "header",
    [
        "((",
        "{'descr': '|i1', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '|i1', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    ],
)
def test_headers_of_arrays(header: str, tmp_path: Path) -> None:
    """Found by the fuzzer: NumPy reads a header as Python, and makes room for what it says."""
    (tmp_path / "i.npy").write_bytes(npy(header))
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("temp.npy", npy(header))
    model = parse_model((PACKAGE.parents[1] / "fw_builds/reference/models/sine.tflite").read_bytes())
    with pytest.raises(ConfigError):
        load_inputs(tmp_path / "i.npy", model)
    with pytest.raises(ConfigError):
        load_inputs(tmp_path / "t.npz", model)
    with pytest.raises(ConfigError):
        load_trace(tmp_path / "t.npz")


def test_what_the_fuzzer_found_besides(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "a").write_bytes(bytes(range(256)) * 9)
    packed = bytearray(pack(tmp_path / "seed")[0])
    for at in range(31, len(packed) - 80):  # the compressed bytes
        packed[at] ^= 0xFF
    with pytest.raises(InfrastructureError, match="no usable folder"):
        unpack(bytes(packed), tmp_path / "to")
    with pytest.raises(HarnessError):
        csr_from_pem(["-----BEGIN CERTIFICATE REQUEST-----", "\u0661", "-----END CERTIFICATE REQUEST-----"])
    (tmp_path / "labels.csv").write_text("a\0b.bin, 2, 1\n")
    with pytest.raises(ConfigError, match="names no file"):
        read_dataset(tmp_path, "labels.csv", 4)
