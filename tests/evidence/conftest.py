"""A small run folder as a real run leaves it, made without a board."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tfm_harness.findings import Policy, Report
from tfm_harness.latency.clock import Clock
from tfm_harness.latency.series import Series
from tfm_harness.parity.compare import compare
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.replay import Failure, save_failure
from tfm_harness.plugin.record import judged_findings
from tfm_harness.report.claims import judge_row, statuses_by_suite
from tfm_harness.report.record import (
    CombinationEntry,
    FileEntry,
    LatencyEntry,
    ParityEntry,
    ParityOutput,
    RequirementEntry,
    RunRecord,
    SuiteEntry,
    TestEntry,
)
from tfm_harness.report.storage import plain, save_run
from tfm_harness.trust.kept import KeptEvidence
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.token import TokenExpectations, verify_psa_token

from tests.verify.test_verify_images import make as make_image
from tests.verify.verify_kit import CHALLENGE, KEY, TEST_ONLY_P256, enc, message, rfc_claims

COMBINATION = "qemu-an547+reference"
MODEL = Path(__file__).resolve().parents[2] / "fw_builds/reference/models/sine.tflite"
TEST_ONLY_SIGNING = ec.derive_private_key(0x5167_0001, ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _entry(role: str, name: str, path: Path) -> FileEntry:
    data = path.read_bytes()
    return FileEntry(role=role, name=name, path=str(path), sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))  # type: ignore[arg-type]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Two tests with tokens, a parity session, a latency series, a build's files; everything right."""
    return make_run(tmp_path)


def make_run(tmp_path: Path) -> Path:
    """The folder of such a run, in that folder."""
    folder, build = tmp_path / "night", tmp_path / "build"
    folder.mkdir()
    build.mkdir()
    where = SimpleNamespace(name=COMBINATION), SimpleNamespace(name="qemu-an547")
    tests = []
    for number in range(2):
        nodeid = f"suites/attestation/test_token.py::test_{number}[{COMBINATION}]"
        kept = KeptEvidence(folder, test=nodeid, combination=where[0], board=where[1])
        report = Report(policy=Policy.DEV)
        challenge = bytes([number]) * 32
        token = message(enc(rfc_claims(challenge=challenge)))
        expected = TokenExpectations(instance_id=frozenset(KEY.instance_ids))
        verify_psa_token(token, keys=[KEY], challenge=challenge, expected=expected, report=report)
        assert report.ok, report.failed
        kept.keep(
            "token", report.findings, data=token, keys=[KEY], challenge=challenge, expected=expected, boot=1, build=""
        )
        findings, _ = judged_findings(report)
        tests.append(
            TestEntry(
                nodeid=nodeid, combination=COMBINATION, board="qemu-an547", suite="attestation", findings=findings
            )
        )
    tests.append(
        TestEntry(
            nodeid="suites/sensor/test_s.py::test_gone",
            combination=COMBINATION,
            suite="sensor",
            outcome="not covered",
            message="not covered: no stimulus",
        )
    )
    (folder / "qemu-an547-ns.log").write_bytes(b"boot\r\nready\r\n")
    (folder / "report.html").write_text("<!doctype html><title>run</title>")
    (folder / "keys.sqlite").write_bytes(b"no evidence")
    (build / "target.yaml").write_text("kind: qemu\n")
    (build / "build.yaml").write_text("name: reference\n")
    (build / "ns.signed.bin").write_bytes(make_image())
    (build / "TEST_ONLY_private.pem").write_bytes(pem(TEST_ONLY_P256))
    (build / "TEST_ONLY_update.pem").write_bytes(pem(TEST_ONLY_SIGNING))
    files = (
        _entry("target", "target", build / "target.yaml"),
        _entry("build", "build", build / "build.yaml"),
        _entry("image", "images.0.file", build / "ns.signed.bin"),
        _entry("model", "models.sine.file", MODEL),
        _entry("key", "trust.images", build / "TEST_ONLY_private.pem"),
        _entry("file", "files.update_key", build / "TEST_ONLY_update.pem"),
    )
    row = RequirementEntry(
        combination=COMBINATION,
        suite="attestation",
        checks=("cose.signature",),
        proves="signed",
        requirement="RFC 9052 s.4.4",
        state="not proven",
    )
    state, missing = judge_row(row.checks, statuses_by_suite(tests)[COMBINATION, "attestation"])
    assert state == "proven"
    save_run(
        RunRecord(
            name="night",
            verdict="passed",
            headline="2 passed, 1 not covered",
            started="2024-11-28T02:00:00+00:00",
            seconds=3.0,
            version="0.1.0",
            package_sha256="ab" * 32,
            collected=3,
            tests=tuple(tests),
            combinations=(
                CombinationEntry(
                    name=COMBINATION, target="qemu-an547", build="reference", policy="dev", kind="qemu", files=files
                ),
            ),
            suites=(
                SuiteEntry(
                    combination=COMBINATION,
                    suite="attestation",
                    claim="tokens",
                    state="proved",
                    passed=2,
                    total=2,
                    sha256="cd" * 32,
                ),
            ),
            requirements=(replace(row, state=state, missing=missing),),
            latency=(_latency(),),
            parity=(_parity(folder),),
        ),
        folder / "run.json",
    )
    return folder


def _latency() -> LatencyEntry:
    clock = Clock(source="dwt-cyccnt", hz=32_000_000, bits=32)
    ticks = tuple(32_000 + n % 7 for n in range(50))
    return LatencyEntry(
        combination=COMBINATION, series=Series(name="sine", ticks=ticks, clock=clock), budgets={"p99": 0.002}
    )


def _parity(folder: Path) -> ParityEntry:
    model = MODEL.read_bytes()
    info = parse_model(model, name="sine")
    inputs = np.arange(-20, 20, dtype=np.int8).reshape(40, *info.inputs[0].shape)
    outputs = np.arange(40, dtype=np.int8).reshape(40, *info.outputs[0].shape)
    compared = compare([outputs], [outputs], (), Report(), info=info, model="sine")
    path = save_failure(
        folder,
        Failure(
            model="sine",
            model_sha256=info.sha256,
            vectors=tuple(range(40)),
            inputs=(inputs,),
            reference=(outputs,),
            device=(outputs,),
        ),
        prefix="vectors",
    )
    return ParityEntry(
        combination=COMBINATION,
        model="sine",
        vectors=40,
        vectors_file=path.name,
        outputs=tuple(plain(ParityOutput, output) for output in json.loads(json.dumps(compared.as_dict()))["outputs"]),
    )


@pytest.fixture
def signing_key(tmp_path: Path) -> tuple[str, Path]:
    """A private key's file and its public half's."""
    private, public = tmp_path / "TEST_ONLY_signing.pem", tmp_path / "signing-public.pem"
    private.write_bytes(pem(TEST_ONLY_SIGNING))
    public.write_text(PublicKey.from_handle(TEST_ONLY_SIGNING.public_key()).pem)
    return str(private), public


__all__ = ["CHALLENGE", "COMBINATION", "MODEL", "TEST_ONLY_SIGNING", "make_run", "pem", "run_dir", "signing_key"]
