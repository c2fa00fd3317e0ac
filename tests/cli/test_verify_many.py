"""A folder of stored evidence: every file judged, and all of them together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tfm_harness.cli.main import main

from tests.verify.test_verify_signatures import K, sign_with_nonce
from tests.verify.verify_kit import KEY, TEST_ONLY_P256, enc, message, rfc_claims


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_text(KEY.pem)
    stored = tmp_path / "stored"
    (stored / "deeper").mkdir(parents=True)
    for number in range(550):  # more than one chunk
        token = message(enc(rfc_claims(challenge=number.to_bytes(4, "big") * 8)))
        (stored / ("deeper" if number % 2 else ".") / f"{number}.cbor").write_bytes(token)
    return tmp_path


def verify(folder: Path, *more: str) -> int:
    return main(["verify", "token", str(folder / "stored"), "--key", str(folder / "key.pem"), "--policy", "dev", *more])


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_all_of_a_folder(folder: Path, jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(folder, "-j", jobs) == 0
    assert "550 passed of 550" in capsys.readouterr().out
    bad = folder / "stored/deeper/77.cbor"
    data = bytearray(bad.read_bytes())
    data[-1] ^= 1
    bad.write_bytes(data)
    (folder / "stored/note.txt").write_text("This is a note, and no evidence at all.")
    (folder / "stored/empty").write_bytes(b"")
    assert verify(folder, "-j", jobs, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["passed"], said["failed"], said["not_judged"]) == (549, 1, 2)
    assert {Path(one["file"]).name for one in said["files"]} == {"77.cbor", "note.txt", "empty"}
    assert said["nonce_reuse"] == []


def test_one_secret_number_for_two_messages_is_found_over_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, name in enumerate(("first.cbor", "last.cbor")):
        token = sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims(challenge=bytes([number]) * 32)), K)
        (folder / "stored" / name).write_bytes(token)
    assert verify(folder, "-j", "2") == 1
    out = capsys.readouterr().out
    assert "552 passed of 552" in out
    assert "one r twice under one key" in out
    assert "the private key follows" in out


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_files_with_one_secret_number_are_named(
    folder: Path, jobs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever they lie: in one chunk or in two."""
    for number, name in enumerate(("1000.cbor", "1001.cbor", "zzz.cbor", "deeper/1002.cbor")):
        token = sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims(challenge=bytes([number]) * 32)), K)
        (folder / "stored" / name).write_bytes(token)
    assert verify(folder, "-j", jobs, "--json") == 1
    told = json.loads(capsys.readouterr().out)["nonce_reuse"]
    names = [[Path(word.rstrip(":")).name for word in text.split() if ".cbor" in word] for text in told]
    assert names == [["1000.cbor", "1001.cbor"], ["1000.cbor", "1002.cbor"], ["1000.cbor", "zzz.cbor"]]


def test_nothing_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stored").mkdir()
    (tmp_path / "key.pem").write_text(KEY.pem)
    assert verify(tmp_path) == 4
    (tmp_path / "stored/x").write_bytes(b"\xd2\x84")
    assert main(["verify", "token", str(tmp_path / "stored")]) == 4
    assert "no-key" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        verify(tmp_path, "-j", "0")
