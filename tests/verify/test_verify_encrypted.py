"""COSE_Encrypt0: decrypted only when every part is right; nonces remembered over messages and runs."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.findings import Policy, Report, Severity
from tfm_harness.trust.nonce_ledger import FileNonceLedger
from tfm_harness.verify import (
    NonceLedger,
    check_nonces,
    decrypt_cose,
    messages_in,
    object_aad,
    parse_encrypted,
    record_nonce,
    reference_symmetric_key,
)

from tests.verify.verify_kit import broken, held

KEY = bytes(range(16))
NONCE = bytes(range(100, 112))
AAD = b"the request's nonce"
PLAIN = b"a signed result"


def encrypted(
    *,
    key: bytes = KEY,
    protected: object = None,
    unprotected: object = None,
    nonce: bytes = NONCE,
    aad: bytes = AAD,
    plain: bytes = PLAIN,
    tag: int | None = 16,
    ciphertext: bytes | None = None,
) -> bytes:
    """A message, made with cbor2 and `cryptography` and none of the harness's own code."""
    header = cbor2.dumps({1: 1} if protected is None else protected)
    structure = cbor2.dumps(["Encrypt0", header, aad])
    body = AESGCM(key).encrypt(nonce, plain, structure) if ciphertext is None else ciphertext
    parts = [header, {5: nonce} if unprotected is None else unprotected, body]
    return cbor2.dumps(parts if tag is None else cbor2.CBORTag(tag, parts))


def judged(data: bytes, *, key: bytes = KEY, aad: bytes = AAD, rest: bool = False) -> tuple[bytes | None, Report]:
    report = Report()
    _, plaintext = decrypt_cose(data, key=key, external_aad=aad, report=report, rest=rest)
    return plaintext, report


@pytest.mark.parametrize(("number", "size"), [(1, 16), (2, 24), (3, 32)])
@pytest.mark.parametrize("plain", [b"", b"x", PLAIN, bytes(3000)])
def test_a_right_message_is_decrypted(number: int, size: int, plain: bytes) -> None:
    key = bytes(range(size))
    plaintext, report = judged(encrypted(key=key, protected={1: number}, plain=plain), key=key)
    assert plaintext == plain
    assert report.ok
    assert {"encryption.structure", "encryption.algorithm", "encryption.nonce", "encryption.authentic"} <= held(report)


@pytest.mark.parametrize(
    ("protected", "unprotected", "seen"),
    [({}, {1: 1, 5: NONCE}, "1 unprotected"), ({1: 3}, {5: NONCE}, "3"), ({1: 3}, {1: 1, 5: NONCE}, "3"),
     ({}, {5: NONCE}, "None")],
)  # fmt: skip
def test_a_wrong_algorithm_is_shown_and_where_it_stands(protected: object, unprotected: object, seen: str) -> None:
    _, report = judged(encrypted(protected=protected, unprotected=unprotected))
    (found,) = [finding for finding in report.failed if finding.id == "encryption.algorithm"]
    assert found.seen == seen


def test_the_nonce_may_be_protected() -> None:
    plaintext, report = judged(encrypted(protected={1: 1, 5: NONCE}, unprotected={}))
    assert plaintext == PLAIN
    assert report.ok


def test_every_flipped_bit_is_refused() -> None:
    good = encrypted()
    for bit in range(8 * len(good)):
        wrong = bytearray(good)
        wrong[bit // 8] ^= 1 << bit % 8
        plaintext, report = judged(bytes(wrong))
        assert plaintext is None, bit
        assert "encryption.authentic" in broken(report), bit


WRONG: dict[str, tuple[bytes, str]] = {
    "no tag": (encrypted(tag=None), "encryption.structure"),
    "a COSE_Sign1's tag": (encrypted(tag=18), "encryption.structure"),
    "a COSE_Encrypt's tag": (encrypted(tag=96), "encryption.structure"),
    "four parts": (cbor2.dumps(cbor2.CBORTag(16, [b"\xa1\x01\x01", {5: NONCE}, b"", b""])), "encryption.structure"),
    "two parts": (cbor2.dumps(cbor2.CBORTag(16, [b"\xa1\x01\x01", {5: NONCE}])), "encryption.structure"),
    "text as ciphertext": (cbor2.dumps(cbor2.CBORTag(16, [b"\xa1\x01\x01", {5: NONCE}, "x"])), "encryption.structure"),
    "nil as ciphertext": (cbor2.dumps(cbor2.CBORTag(16, [b"\xa1\x01\x01", {5: NONCE}, None])), "encryption.structure"),
    "an array as header": (encrypted(protected=[1, 1]), "encryption.structure"),
    "a list as unprotected": (encrypted(unprotected=[]), "encryption.structure"),
    "another algorithm": (encrypted(protected={1: 3}), "encryption.algorithm"),
    "AES-CCM": (encrypted(protected={1: 10}), "encryption.algorithm"),
    "no algorithm": (encrypted(protected={}), "encryption.algorithm"),
    "algorithm unprotected": (encrypted(protected={}, unprotected={1: 1, 5: NONCE}), "encryption.algorithm"),
    "algorithm true": (encrypted(protected={1: True}), "encryption.algorithm"),
    "no nonce": (encrypted(unprotected={}), "encryption.nonce"),
    "a nonce of 11 bytes": (encrypted(nonce=NONCE[:11]), "encryption.nonce"),
    "a nonce of 13 bytes": (encrypted(nonce=NONCE + b"x"), "encryption.nonce"),
    "a nonce that is text": (encrypted(unprotected={5: "123456789012"}), "encryption.nonce"),
    "a Partial IV alone": (encrypted(unprotected={6: b"\1"}), "encryption.nonce"),
    "two nonces": (encrypted(protected={1: 1, 5: NONCE}), "cose.label-once"),
    "IV and Partial IV": (encrypted(unprotected={5: NONCE, 6: b"\1"}), "cose.header-values"),
    "crit not understood": (encrypted(protected={1: 1, 2: [77], 77: 0}), "cose.crit"),
    "a tag too short": (encrypted(ciphertext=bytes(15)), "encryption.authentic"),
    "bytes behind it": (encrypted() + b"\0", "cbor.trailing"),
    "indefinite length": (b"\xd0\x9f" + encrypted()[2:] + b"\xff", "cbor.definite"),
    "nothing": (b"", "cbor.well-formed"),
    "too long": (encrypted(plain=bytes(70_000)), "cbor.limits"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str) -> None:
    data, check = WRONG[name]
    plaintext, report = judged(data)
    assert check in broken(report)
    if check not in {"cose.label-once", "cose.header-values", "cose.crit"}:
        assert plaintext is None
        assert "encryption.authentic" in broken(report)


@pytest.mark.parametrize("aad", [b"", AAD + b"x", AAD[:-1], bytes(len(AAD))])
def test_other_external_data_is_refused(aad: bytes) -> None:
    plaintext, report = judged(encrypted(), aad=aad)
    assert plaintext is None
    assert broken(report) == {"encryption.authentic"}


def test_another_key_is_refused() -> None:
    assert broken(judged(encrypted(), key=bytes(16))[1]) == {"encryption.authentic"}
    assert {"encryption.algorithm", "encryption.authentic"} <= broken(judged(encrypted(), key=bytes(32))[1])
    assert "encryption.algorithm" in broken(judged(encrypted(), key=bytes(17))[1])


def test_random_bytes_raise_nothing_foreign() -> None:
    rng = random.Random(5)
    good = encrypted()
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        judged(bytes(data), rest=rng.random() < 0.5)
        with contextlib.suppress(ProductError):
            parse_encrypted(bytes(data))


def test_a_message_at_the_beginning_of_a_sector() -> None:
    plaintext, report = judged(encrypted() + b"\xff" * 200, rest=True)
    assert (plaintext, report.ok) == (PLAIN, True)
    flash = b"\xd0\x83\xff" + b"\xff" * 13 + encrypted() + b"\xff" * 9 + encrypted(plain=b"two") + b"\xd0"
    found = messages_in(flash)
    assert sorted(found) == [16, 16 + len(encrypted()) + 9]
    assert [message.nonce for message in found.values()] == [NONCE, NONCE]


def test_external_data_of_objects_differ() -> None:
    seen = {object_aad(1), object_aad(2), object_aad(1, owner=261), object_aad(1, flags=1)}
    assert len(seen) == 4
    assert cbor2.loads(object_aad(1 << 60)) == [-1, 1 << 60, 0]


def test_keys_of_boards_and_roles_differ() -> None:
    huks = [bytes([n]) * 32 for n in range(4)]
    keys = {reference_symmetric_key(huk, role) for huk in huks for role in ("storage", "result-encryption")}
    assert len(keys) == 8
    with pytest.raises(KeyError):
        reference_symmetric_key(huks[0], "other")


# --- nonces


@pytest.mark.parametrize("policy", Policy)
def test_a_nonce_that_comes_twice_is_found(policy: Policy) -> None:
    report, ledger = Report(policy=policy), NonceLedger()
    first, second = (record_nonce(KEY, NONCE, data, where=data.decode()) for data in (b"one", b"two"))
    assert check_nonces([first, first], report, ledger=ledger) == []  # the same message again is no repeat
    assert held(report) == {"encryption.nonce-reuse"}
    report = Report(policy=policy)
    assert check_nonces([second], report, ledger=ledger) == [second]
    (finding,) = report.failed
    assert finding.check.severity(policy) is Severity.CRITICAL
    assert finding.where == "one and two"
    report = Report(policy=policy)
    assert check_nonces([record_nonce(b"another key 1234", NONCE, b"two")], report, ledger=ledger) == []
    assert report.ok
    assert check_nonces([record_nonce(KEY, NONCE, b"two", history="put back")], Report(), ledger=ledger) == []
    empty = Report(policy=policy)
    assert not check_nonces([], empty, ledger=ledger)
    assert empty.findings == []  # what was not judged has not held


def test_the_ledger_is_shared_by_processes(tmp_path: Path) -> None:
    path = tmp_path / "state" / "nonces.sqlite"
    with FileNonceLedger(path) as ledger:
        assert ledger.add(record_nonce(KEY, NONCE, b"one", where="run 1")) is None
    with FileNonceLedger(path) as ledger, FileNonceLedger(path) as other:
        assert ledger.add(record_nonce(KEY, NONCE, b"one", where="run 2")) is None
        earlier = ledger.add(record_nonce(KEY, NONCE, b"two", where="run 2"))
        assert earlier is not None
        assert earlier.where == "run 1"
        assert ledger.add(record_nonce(bytes(16), NONCE, b"two")) is None
        assert other.add(record_nonce(bytes(16), NONCE, b"three")) is not None
        assert len(other) == 2
    assert KEY not in path.read_bytes()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_file_that_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nonces.sqlite"
    path.write_bytes(content)
    if not content:
        path.unlink()
        path.mkdir()
    with pytest.raises(InfrastructureError, match="ledger of nonces"):
        FileNonceLedger(path)


def test_a_table_of_another_form(tmp_path: Path) -> None:
    path = tmp_path / "nonces.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE nonces (other TEXT)")
    database.close()
    with FileNonceLedger(path) as ledger, pytest.raises(InfrastructureError, match="cannot be used"):
        ledger.add(record_nonce(KEY, NONCE, b"one"))
