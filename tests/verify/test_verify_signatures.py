"""A repeated ECDSA r: found, proved, remembered over runs, and told apart from what is harmless."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import multiprocessing
import signal
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tfm_harness.errors import InfrastructureError
from tfm_harness.findings import Policy, Report, Severity, Status
from tfm_harness.trust.ledger import FileLedger
from tfm_harness.trust.ledger_file import is_shared_by_hosts
from tfm_harness.verify.algorithms import ALGORITHMS, CURVES_BY_NAME, P256
from tfm_harness.verify.cose import parse
from tfm_harness.verify.csr import CertificationRequest, parse_csr
from tfm_harness.verify.keys import PublicKey
from tfm_harness.verify.signatures import (
    Reuse,
    SignatureLedger,
    SignatureRecord,
    check_seen_before,
    check_signatures,
    key_is_lost,
    record_request,
    record_signature,
)

from tests.verify.test_verify_csr_and_certificates import by_hand, subject, tlv
from tests.verify.verify_kit import KEY, OTHER_KEY, TEST_ONLY_P256, TEST_ONLY_P384, broken, enc, held, message

PROTECTED = enc({1: -7})


def sign_with_nonce(
    private: ec.EllipticCurvePrivateKey, payload: bytes, k: int, *, alg: int = -7, negate: bool = False
) -> bytes:
    """A signature with a chosen secret number: what a device with a broken random source makes."""
    curve = CURVES_BY_NAME[private.curve.name]
    algorithm = ALGORITHMS[alg]
    protected = enc({1: alg})
    digest = hashlib.new(algorithm.hash.name, enc(["Signature1", protected, b"", payload])).digest()
    r = ec.derive_private_key(k, curve.implementation).public_key().public_numbers().x % curve.order
    secret = private.private_numbers().private_value
    s = pow(k, -1, curve.order) * (int.from_bytes(digest, "big") + r * secret) % curve.order
    if negate:
        s = curve.order - s
    signature = r.to_bytes(curve.size, "big") + s.to_bytes(curve.size, "big")
    return message(payload, protected={1: alg}, signature=signature)


def record(data: bytes, key: PublicKey = KEY, where: str = "") -> SignatureRecord:
    return record_signature(parse(data), key, where=where)


K = 0x1F5E_D0A1_0099
FIRST = sign_with_nonce(TEST_ONLY_P256, b"boot 1", K)
SECOND = sign_with_nonce(TEST_ONLY_P256, b"boot 2", K)


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize(("private", "alg"), [(TEST_ONLY_P256, -7), (TEST_ONLY_P384, -35)])
def test_two_messages_with_one_r_prove_that_the_key_is_lost(
    private: ec.EllipticCurvePrivateKey, alg: int, *, negate: bool
) -> None:
    key = PublicKey.from_handle(private.public_key())
    one = record(sign_with_nonce(private, b"one", K, alg=alg), key, "result 0")
    two = record(sign_with_nonce(private, b"two", K, alg=alg, negate=negate), key, "result 1")
    for policy in Policy:
        report = Report(policy=policy)
        (reuse,) = check_signatures([(one, key), (two, key)], report)
        assert key_is_lost(reuse, key)
        (finding,) = report.failed
        assert finding.check.severity(policy) is Severity.CRITICAL
        assert "private key follows" in finding.seen
        assert finding.where == "result 0 and result 1"
        secret = private.private_numbers().private_value
        assert f"{secret:x}" not in finding.seen


def test_the_proof_fails_for_another_key() -> None:
    assert not key_is_lost(Reuse(record(FIRST), record(SECOND)), OTHER_KEY)
    other = PublicKey.from_handle(TEST_ONLY_P384.public_key())
    assert not key_is_lost(Reuse(record(FIRST), record(SECOND)), other)


def test_what_is_harmless_passes() -> None:
    fresh = message(b"boot 2", key=TEST_ONLY_P256)
    report = Report()
    check_signatures([(record(FIRST), KEY), (record(FIRST), KEY), (record(fresh), KEY)], report)
    assert held(report) == {"result.ecdsa-nonce-reuse"}
    # One r under two keys says nothing: neither equation helps the other.
    report = Report()
    check_signatures([(record(FIRST), KEY), (record(SECOND, OTHER_KEY), OTHER_KEY)], report)
    assert report.ok
    report = Report()
    check_signatures([], report)
    assert not report.findings


def request_with_nonce(common_name: bytes, k: int) -> CertificationRequest:
    """A certification request signed with a chosen secret number."""
    unsigned = by_hand(subject=subject(tlv(0x0C, common_name)), signature=b"")
    info = parse_csr(unsigned).signed
    order, secret = P256.order, TEST_ONLY_P256.private_numbers().private_value
    r = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers().x % order
    s = pow(k, -1, order) * (int.from_bytes(hashlib.sha256(info).digest(), "big") + r * secret) % order
    signature = encode_dss_signature(r, s)
    return parse_csr(by_hand(subject=subject(tlv(0x0C, common_name)), signature=signature))


def test_a_request_and_a_result_with_one_r_lose_the_key_they_share() -> None:
    asked = record_request(request_with_nonce(b"device", K), where="request")
    assert asked is not None
    report = Report()
    (reuse,) = check_signatures([(asked, KEY), (record(FIRST, where="result"), KEY)], report)
    assert key_is_lost(reuse, KEY)
    assert report.failed[0].where == "request and result"
    again = record_request(request_with_nonce(b"device", K))
    other = record_request(request_with_nonce(b"device", K + 1))
    assert again is not None
    assert other is not None
    report = Report()
    assert not check_signatures([(asked, KEY), (again, KEY), (other, KEY)], report)
    assert report.ok


def test_a_request_that_proves_nothing_is_not_remembered() -> None:
    right = request_with_nonce(b"device", K)
    for wrong in (
        dataclasses.replace(right, signature=right.signature[:-1]),
        dataclasses.replace(right, key=None),
        dataclasses.replace(right, key=OTHER_KEY),
        dataclasses.replace(right, algorithm="1.2.840.10045.4.1"),
    ):
        assert record_request(wrong) is None


def test_a_lost_key_is_excused_by_its_full_name_only() -> None:
    from tfm_harness.findings import Waiver

    for pattern in ("result.*", "*", "result.ecdsa-nonce-reus?"):
        report = Report(waivers=(Waiver(finding=pattern, reason="test"),))
        check_signatures([(record(FIRST), KEY), (record(SECOND), KEY)], report)
        assert not report.ok, pattern
    report = Report(waivers=(Waiver(finding="result.ecdsa-nonce-reuse", reason="throw-away key"),))
    check_signatures([(record(FIRST), KEY), (record(SECOND), KEY)], report)
    assert [finding.id for finding in report.by_status(Status.WAIVED)] == ["result.ecdsa-nonce-reuse"]


def test_a_mac_is_no_ecdsa_signature() -> None:
    with pytest.raises(ValueError, match="ECDSA"):
        record(message(b"x", key=bytes(32), alg=5))


def test_the_ledger_remembers_over_runs(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.sqlite"
    with FileLedger(path) as ledger:
        report = Report()
        check_signatures([(record(FIRST, where="run 1"), KEY)], report, ledger=ledger)
        assert report.ok
        assert len(ledger) == 1
    with FileLedger(path) as ledger:
        report = Report()
        (reuse,) = check_signatures([(record(FIRST), KEY), (record(SECOND, where="run 2"), KEY)], report, ledger=ledger)
        assert reuse.first.where == "run 1"
        assert "run 1 and run 2" in report.failed[0].where
        assert key_is_lost(reuse, KEY)
    assert sorted(p.name for p in path.parent.iterdir()) == ["ledger.sqlite"]
    stored = path.read_bytes()
    assert TEST_ONLY_P256.private_numbers().private_value.to_bytes(32, "big") not in stored


def test_an_old_result_played_again_is_told_from_a_lost_key(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    first, again = record(FIRST, where="run 1"), record(FIRST, where="run 2")
    with FileLedger(path) as ledger:
        for _ in range(2):  # a run may look at its own results twice
            report = Report()
            check_signatures([(first, KEY)], report, ledger=ledger)
            check_seen_before(first, report, ledger=ledger)
            assert held(report) == {"result.ecdsa-nonce-reuse", "result.seen-before"}
    with FileLedger(path) as ledger:
        report = Report()
        check_signatures([(again, KEY)], report, ledger=ledger)
        check_seen_before(again, report, ledger=ledger)
        assert "result.ecdsa-nonce-reuse" in held(report)
        (finding,) = report.by_status(Status.NOTED)
        assert (finding.id, finding.seen) == ("result.seen-before", "seen before as run 1")
        other = record(SECOND, where="run 2")
        report = Report()
        check_signatures([(other, KEY)], report, ledger=ledger)
        check_seen_before(other, report, ledger=ledger)
        assert broken(report) == {"result.ecdsa-nonce-reuse"}
        assert "result.seen-before" in held(report)
    assert SignatureLedger().earlier(first) is None


def test_a_file_that_is_no_ledger_is_the_bench_s_fault(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(InfrastructureError) as caught:
        FileLedger(path)
    assert caught.value.kind == "ledger"
    with pytest.raises(InfrastructureError):
        FileLedger(tmp_path / "ledger.sqlite" / "below a file")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE signatures (x)")
    database.close()
    with FileLedger(other) as ledger, pytest.raises(InfrastructureError):
        ledger.add(record(FIRST))


def _store_and_die(path: Path, data: bytes) -> None:
    import os

    ledger = FileLedger(path)
    ledger.add(record(data, where="killed run"))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_forgets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    process = multiprocessing.get_context("spawn").Process(target=_store_and_die, args=(path, FIRST))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with FileLedger(path) as ledger:
        reuse = ledger.add(record(SECOND))
    assert reuse is not None
    assert reuse.first.where == "killed run"


def _mounts(folder: Path, *lines: str) -> Path:
    path = folder / "mountinfo"
    path.write_text("".join(f"36 35 98:0 / {line}\n" for line in ("/ rw - ext4 /dev/sda rw", *lines)))
    return path


@pytest.mark.parametrize(
    ("line", "shared"),
    [
        ("{} rw,noatime shared:1 - nfs4 server:/home rw", True),
        ("{} rw - fuse.sshfs host: rw", True),
        ("{} rw - xfs /dev/sdb rw", False),
        ("{}/deeper rw - nfs server:/ rw", False),
        ("/ rw - overlay overlay rw", False),
    ],
)
def test_where_several_hosts_write_is_told_by_the_deepest_mount(tmp_path: Path, line: str, shared: bool) -> None:
    folder = tmp_path / "a state"
    folder.mkdir()
    mounts = _mounts(tmp_path, line.format(str(folder).replace(" ", "\\040")))
    assert is_shared_by_hosts(folder, mounts) is shared


def test_without_a_list_of_mounts_several_hosts_may_write(tmp_path: Path) -> None:
    assert is_shared_by_hosts(tmp_path, tmp_path / "none")
    (tmp_path / "empty").write_text("")
    assert is_shared_by_hosts(tmp_path, tmp_path / "empty")


@pytest.mark.parametrize(("shared", "mode"), [(False, "wal"), (True, "delete")])
def test_a_commit_waits_for_the_disk_only_where_several_hosts_write(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,
    mode: str,
) -> None:
    monkeypatch.setattr("tfm_harness.trust.ledger_file.is_shared_by_hosts", lambda _folder: shared)
    path = tmp_path / "ledger.sqlite"
    with FileLedger(path) as ledger:
        ledger.add(record(FIRST, where="run 1"))
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA journal_mode").fetchone() == (mode,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["ledger.sqlite"]
    with FileLedger(path) as ledger:
        assert ledger.add(record(SECOND)) is not None


def test_a_ledger_that_an_older_version_has_open_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    FileLedger(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as older:
        older.execute("PRAGMA journal_mode = DELETE")
        older.execute("BEGIN")
        older.execute("SELECT count(*) FROM signatures").fetchone()
        with FileLedger(path, timeout=0.0) as ledger:
            older.execute("COMMIT")
            ledger.add(record(FIRST))
            assert older.execute("SELECT count(*) FROM signatures").fetchone() == (1,)


def test_extend_gives_every_reuse(tmp_path: Path) -> None:
    third = sign_with_nonce(TEST_ONLY_P256, b"boot 3", K)
    with FileLedger(tmp_path / "l") as ledger:
        assert len(ledger.extend(map(record, (FIRST, SECOND, third)))) == 2
    memory = SignatureLedger([record(FIRST)])
    assert memory.add(record(SECOND)) is not None
    assert len(memory) == 1
