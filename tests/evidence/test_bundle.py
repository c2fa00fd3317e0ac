"""Bundles of evidence: what holds, and everything that must not."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from securesystemslib.dsse import Envelope as LibraryEnvelope
from securesystemslib.signer import CryptoSigner, SSlibKey
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError
from tfm_harness.evidence.bundle import make_bundle
from tfm_harness.evidence.dsse import EnvelopeVerificationError, make_envelope, pae, parse_envelope
from tfm_harness.evidence.signers import LibraryEnvelopeSigner, load_signer, load_verification_keys
from tfm_harness.evidence.verified import verify_bundle
from tfm_harness.findings import Policy, Report
from tfm_harness.report.record import FindingEntry, RunRecord, TestEntry
from tfm_harness.report.storage import load_run, save_run

from tests.evidence.conftest import TEST_ONLY_SIGNING, pem

Key = tuple[str, Path]


@pytest.fixture
def bundle(run_dir: Path, signing_key: Key, tmp_path: Path) -> Path:
    output = tmp_path / "night.evidence"
    make_bundle(run_dir, [load_signer(signing_key[0])], output)
    return output


def verify(bundle: Path, key: Key, **options: Any) -> tuple[Report, Any]:
    report = Report(policy=Policy.PRODUCTION)
    return report, verify_bundle(bundle, load_verification_keys([key[1]]), report, **options)


def broken(report: Report) -> set[str]:
    return {finding.id for finding in report.failed}


def test_a_right_bundle_holds(bundle: Path, signing_key: Key) -> None:
    report, found = verify(bundle, signing_key)
    assert report.ok, report.failed
    assert found.judged == {"token": 2, "signed images": 1, "parity sessions": 1, "latency series": 1}
    assert found.left == {"files are not in the bundle": 1}
    assert found.run.verdict == "passed"


def test_private_keys_and_databases_stay_out(bundle: Path) -> None:
    for path in bundle.rglob("*"):
        assert path.suffix != ".sqlite"
        if path.is_file():
            assert b"PRIVATE KEY" not in path.read_bytes(), path
    assert b"BEGIN PUBLIC KEY" in next((bundle / "inputs/key").iterdir()).read_bytes()
    assert not (bundle / "inputs/file").exists()  # the build's further files: by digest only


def test_any_changed_byte_is_found(bundle: Path, signing_key: Key, tmp_path: Path) -> None:
    chance = random.Random(7)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    for number in range(200):
        victim = files[number % len(files)]
        data = bytearray(victim.read_bytes())
        at = chance.randrange(len(data))
        before, data[at] = data[at], data[at] ^ chance.randrange(1, 256)
        victim.write_bytes(data)
        report, _ = verify(bundle, signing_key)
        assert not report.ok, f"byte {at} of {victim}"
        data[at] = before
        victim.write_bytes(data)
    assert verify(bundle, signing_key)[0].ok


@pytest.mark.parametrize("change", ["dropped", "added", "swapped", "cut", "empty"])
def test_files_that_come_and_go(bundle: Path, signing_key: Key, change: str) -> None:
    statements = next(bundle.glob("*.intoto.jsonl"))
    lines = statements.read_text().splitlines(keepends=True)
    record = bundle / "run/run.json"
    expected = "evidence.envelope-form"
    if change == "dropped":
        record.unlink()
        expected = "evidence.file-present"
    elif change == "added":
        (bundle / "run/more.log").write_text("never signed")
        expected = "evidence.file-listed"
    elif change == "swapped":
        statements.write_text("".join(reversed(lines)))
        expected = "evidence.statement"
    elif change == "cut":
        statements.write_text("".join(lines[:2]))
    else:
        statements.write_text("")
    report, found = verify(bundle, signing_key)
    assert expected in broken(report)
    assert change == "added" or found.run is None


def test_a_signature_of_somebody_else_is_none(run_dir: Path, signing_key: Key, tmp_path: Path) -> None:
    other = tmp_path / "TEST_ONLY_other.pem"
    private = ed25519.Ed25519PrivateKey.generate()
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    other.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    make_bundle(run_dir, [load_signer(str(other))], tmp_path / "x.evidence")
    report, found = verify(tmp_path / "x.evidence", signing_key)
    assert broken(report) == {"evidence.signature"}
    assert found.run is None
    report, found = verify(tmp_path / "x.evidence", (str(other), other))
    assert report.ok, report.failed


def test_what_is_left_out_is_named_and_found_in_the_run(run_dir: Path, signing_key: Key, tmp_path: Path) -> None:
    output = tmp_path / "small.evidence"
    make_bundle(run_dir, [load_signer(signing_key[0])], output, leave_out=["transcripts", "models", "images"])
    assert not list(output.rglob("*.log"))
    report, found = verify(output, signing_key)
    assert report.ok, report.failed
    assert found.left == {
        "files are not in the bundle": 1, "images are not in the bundle": 1, "models are not in the bundle": 1,
        "transcripts are not in the bundle": 1, "the model is not in the bundle": 1,
    }  # fmt: skip
    report, found = verify(output, signing_key, run_dir=run_dir)
    assert "transcripts are not in the bundle" not in found.left
    (run_dir / "qemu-an547-ns.log").write_bytes(b"another")
    report, _ = verify(output, signing_key, run_dir=run_dir)
    assert broken(report) == {"evidence.file-digest"}


def test_a_build_that_changed_since_the_run_is_refused(run_dir: Path, signing_key: Key, tmp_path: Path) -> None:
    (tmp_path / "build/ns.signed.bin").write_bytes(b"built again")
    with pytest.raises(ConfigError) as caught:
        make_bundle(run_dir, [load_signer(signing_key[0])], tmp_path / "night.evidence")
    assert caught.value.kind == "evidence-changed"
    assert not list(tmp_path.glob("*.evidence"))
    assert not list(tmp_path.glob(".evidence-*"))


# -- a signer who lies: the signature holds, and what it says does not follow


def forged(run_dir: Path, change: Callable[[RunRecord], RunRecord]) -> None:
    record = load_run(run_dir)
    save_run(change(record), run_dir / "run.json")


def _raw(run_dir: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run_dir / "evidence.jsonl"
    lines = path.read_text().splitlines()
    item = json.loads(lines[1])
    change(item)
    path.write_text("\n".join([lines[0], json.dumps(item), *lines[2:]]) + "\n")


def _flip(item: dict[str, Any]) -> None:
    data = bytearray.fromhex(item["data"])
    data[-1] ^= 1
    item["data"] = data.hex()


def _flip_and_hide(item: dict[str, Any]) -> None:
    _flip(item)
    item["findings"] = [[name, name != "cose.signature" and held] for name, held in item["findings"]]


def _other_policy(record: RunRecord) -> RunRecord:
    test = replace(
        record.tests[0], findings=(FindingEntry(id="cose.signature", status="failed"), *record.tests[0].findings)
    )
    return replace(record, tests=(test, *record.tests[1:]))


def _failed_and_passed(record: RunRecord) -> RunRecord:
    return replace(record, tests=(TestEntry(nodeid="x::y", outcome="failed", responsibility="product"), *record.tests))


def _more_proven(record: RunRecord) -> RunRecord:
    row = replace(record.requirements[0], checks=("attestation.nonce-other",), proves="more")
    return replace(record, requirements=(*record.requirements, row))


def _better_parity(record: RunRecord) -> RunRecord:
    output = record.parity[0].outputs[0]
    return replace(record, parity=(replace(record.parity[0], outputs=(replace(output, exact_elements=1),)),))


def _slower(record: RunRecord) -> RunRecord:
    return replace(record, latency=(replace(record.latency[0], budgets={"p99": 0.0005}),))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_other_policy, {"evidence.verdict-follows"}),
        (_failed_and_passed, {"evidence.verdict-follows"}),
        (_more_proven, {"evidence.verdict-follows"}),
        (_better_parity, {"evidence.parity-again"}),
        (_slower, {"evidence.latency-again"}),
    ],
)
def test_a_record_that_does_not_follow(
    run_dir: Path, signing_key: Key, tmp_path: Path, change: Callable[[RunRecord], RunRecord], expected: set[str]
) -> None:
    forged(run_dir, change)
    make_bundle(run_dir, [load_signer(signing_key[0])], tmp_path / "lie.evidence")
    report, _ = verify(tmp_path / "lie.evidence", signing_key)
    assert broken(report) >= expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [(_flip, {"evidence.judged-again", "evidence.failure-recorded"}), (_flip_and_hide, {"evidence.failure-recorded"})],
)
def test_raw_evidence_that_fails_now(
    run_dir: Path, signing_key: Key, tmp_path: Path, change: Callable[[dict[str, Any]], None], expected: set[str]
) -> None:
    _raw(run_dir, change)
    make_bundle(run_dir, [load_signer(signing_key[0])], tmp_path / "lie.evidence")
    report, _ = verify(tmp_path / "lie.evidence", signing_key)
    assert broken(report) >= expected
    assert any("cose.signature" in finding.seen for finding in report.failed)


@pytest.mark.parametrize("line", ["{", "[]", '{"kind": "token"}', "\xff", '{"kind": "x", "secret": false}', "9" * 5000])
def test_damaged_raw_evidence_is_named(run_dir: Path, signing_key: Key, tmp_path: Path, line: str) -> None:
    path = run_dir / "evidence.jsonl"
    path.write_text(path.read_text() + line + "\n")
    make_bundle(run_dir, [load_signer(signing_key[0])], tmp_path / "x.evidence")
    report, _ = verify(tmp_path / "x.evidence", signing_key)
    assert broken(report) == {"evidence.judged-again"}
    assert "evidence.jsonl:4" in report.failed[0].seen


# -- envelopes


def test_envelopes_of_the_library_and_ours_are_the_same() -> None:
    signer = CryptoSigner(TEST_ONLY_SIGNING)
    ours = make_envelope(b'{"a": 1}', [LibraryEnvelopeSigner(signer)])
    theirs = LibraryEnvelope.from_dict(json.loads(ours.text()))
    key = SSlibKey.from_crypto(TEST_ONLY_SIGNING.public_key())
    assert theirs.verify([key], 1)
    assert theirs.pae() == pae("application/vnd.in-toto+json", b'{"a": 1}')
    back = parse_envelope(json.dumps(theirs.to_dict(), separators=(",", ":")))
    assert back == ours


def test_the_encoding_that_is_signed() -> None:
    # The example of the DSSE specification.
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize("text", [
    "", "{}", "null", "[1]", "1" * 10_000, '{"payload":"","payloadType":"x","signatures":[]}',
    '{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}',
    '{"payload":"A===","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"a","sig":"AA=="}]}',
    '{"payload":"AB==","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"a","sig":"AA=="}]}',
    '{"payload": "AA==","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"a","sig":"AA=="}]}',
    '{"payload":"AA==","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"a","sig":7}]}',
    '{"payload":"AA==","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}',
    "[" * 100_000,
])  # fmt: skip
def test_broken_envelopes(text: str) -> None:
    with pytest.raises(EnvelopeVerificationError):
        parse_envelope(text)


# -- the command


def test_the_command(run_dir: Path, signing_key: Key, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "make", str(run_dir), "--key", signing_key[0]]) == 0
    output = run_dir.with_name("night.evidence")
    assert f"bundle: {output}" in capsys.readouterr().out
    assert main(["evidence", "make", str(run_dir), "--key", signing_key[0]]) == 4
    assert "there already" in capsys.readouterr().err
    assert main(["evidence", "verify", str(output), "--key", str(signing_key[1]), "--no-reference"]) == 0
    assert "the bundle holds" in capsys.readouterr().out
    (output / "run/report.html").write_text("better")
    assert main(["evidence", "verify", str(output), "--key", str(signing_key[1]), "--no-reference", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["holds"] is False
    assert [one["check"] for one in said["failed"]] == ["evidence.file-digest"]


def test_a_throwaway_key_is_never_written(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "make", str(run_dir), "--throwaway-key"]) == 0
    public = run_dir.with_name("night.throwaway-public.pem")
    command = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("verify it: "))
    assert main([*command.removeprefix("verify it: tfm-harness ").split(), "--no-reference"]) == 0
    for path in run_dir.parent.rglob("*"):
        assert not path.is_file() or path.parent.name == "build" or b"PRIVATE" not in path.read_bytes()
    assert "PUBLIC" in public.read_text()


@pytest.mark.parametrize("wrong", ["public", "rsa", "text", "missing", "fifo", "uri"])
def test_keys_that_cannot_sign(
    run_dir: Path, signing_key: Key, tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(tmp_path / "key")
    if wrong == "public":
        name = str(signing_key[1])
    elif wrong == "rsa":
        from cryptography.hazmat.primitives.asymmetric import rsa

        (tmp_path / "key").write_bytes(pem(rsa.generate_private_key(65537, 2048)))  # type: ignore[arg-type]  # wrong on purpose
    elif wrong == "text":
        (tmp_path / "key").write_text("hello")
    elif wrong == "fifo":
        import os

        os.mkfifo(tmp_path / "key")
    elif wrong == "uri":
        name = "hsm:2?label=x"
    assert main(["evidence", "make", str(run_dir), "--key", name]) == 4
    assert "[configuration:evidence-key]" in capsys.readouterr().err
    shutil.rmtree(run_dir)
    assert main(["evidence", "make", str(run_dir), "--key", signing_key[0]]) == 4
