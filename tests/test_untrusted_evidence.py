"""What signed evidence, saved consoles and files of others say in each of their texts, into what commands print."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.cli.main import main
from tfm_harness.report.storage import load_run, save_run
from tfm_harness.verify.keys import PublicKey

from tests.console_suites.helpers import GOOD, PSA, ZTEST
from tests.evidence.conftest import pem, run_dir
from tests.test_untrusted_text import whole
from tests.untrusted import PAYLOADS, filled, troubles
from tests.verify.test_verify_csr_and_certificates import by_hand, subject, tlv
from tests.verify.test_verify_results import claims as result_claims
from tests.verify.verify_kit import KEY, TEST_ONLY_OTHER_P256, TEST_ONLY_P256, enc, message, rfc_claims

__all__ = ["run_dir"]

TEXTS = {name: text for name, text in PAYLOADS.items() if name != "lone surrogate"}
each_payload = pytest.mark.parametrize("payload", TEXTS.values(), ids=TEXTS)


def places(value: Any) -> Iterator[Callable[[Any, Any], None]]:
    """What puts another value at each place of a nested one."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list | tuple):
        pairs = list(enumerate(value))
    for key, inner in pairs:

        def put(root: Any, new: Any, key: Any = key) -> None:
            root[key] = new

        yield put
        for deeper in places(inner):

            def put_deeper(root: Any, new: Any, key: Any = key, deeper: Callable[[Any, Any], None] = deeper) -> None:
                deeper(root[key], new)

            yield put_deeper


def each_place(claims: Any, payload: str) -> Iterator[Any]:
    """Copies of the claims with the payload as text and as bytes at each place, and under a label that nobody knows."""
    for put in places(claims):
        for new in (payload, payload.encode(), [payload], {payload: payload}):
            changed = copy.deepcopy(claims)
            if isinstance(changed, MutableMapping | MutableSequence):
                put(changed, new)
                yield changed
    yield {**claims, payload: payload, -75999: payload}


class Said:
    """Runs commands; keeps what was printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.wrong: list[str] = []
        self.runs = 0

    def __call__(self, *words: object, kind: str = "txt") -> None:
        status = main([str(word) for word in words])
        said = self.capsys.readouterr()
        assert status in {0, 1, 4, 5}, said.err[-500:]
        self.runs += 1
        name = " ".join(str(word) for word in words[:2])
        self.wrong += troubles(f"{name}.{kind}", said.out) + troubles(f"{name} stderr.txt", said.err)
        if kind == "json" and status != 4:
            json.loads(said.out)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Said]:
    made = Said(capsys)
    yield made
    assert made.runs
    assert not made.wrong, "\n".join(made.wrong[:30])


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    made = {"iak": TEST_ONLY_P256, "result": TEST_ONLY_OTHER_P256}
    for name, key in made.items():
        (tmp_path / f"{name}.pem").write_text(PublicKey.from_handle(key.public_key()).pem)
    return {name: tmp_path / f"{name}.pem" for name in made}


def evidence(payload: str) -> Iterator[tuple[str, str, bytes]]:
    """Signed messages: the command that judges one, the key, the bytes."""
    for claims in each_place(rfc_claims(), payload):
        yield "token", "iak", message(enc(claims))
    for claims in each_place(result_claims(), payload):
        yield "result", "result", message(enc(claims), key=TEST_ONLY_OTHER_P256)
    for kind in (0x0C, 0x13, 0x16, 0x1E, 0x04):
        yield "csr", "iak", by_hand(subject=subject(tlv(kind, payload.encode("utf-8"))))
    yield "token", "iak", message(enc(rfc_claims()), unprotected={payload: payload, 4: payload})
    yield "token", "iak", message(enc(rfc_claims()), protected={1: -7, payload: payload, 3: payload})
    yield "token", "iak", payload.encode()
    yield "csr", "iak", f"-----BEGIN {payload}-----\n{payload}\n-----END {payload}-----\n".encode()
    yield "key", "iak", f"-----BEGIN {payload}-----\n{payload}\n-----END {payload}-----\n".encode()
    yield "key", "iak", json.dumps({"kty": payload, "crv": payload, "x": payload, payload: payload}).encode()
    yield "image", "iak", payload.encode() * 20


def chosen(made: Iterator[tuple[str, str, bytes]], payload: str) -> list[tuple[str, str, bytes]]:
    """One in forty, another one for each payload: all of them for all payloads are many thousands."""
    listed = list(made)
    first = int(hashlib.sha256(payload.encode()).hexdigest(), 16) % 40
    return listed[first::40]


@each_payload
def test_signed_evidence(payload: str, tmp_path: Path, keys: dict[str, Path], said: Said) -> None:
    for number, (kind, key, data) in enumerate(chosen(evidence(payload), payload)):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(data)
        said("verify", kind, path, "--key", keys[key])
        said("verify", kind, path, "--key", keys[key], "--json", kind="json")


@pytest.mark.nightly
@pytest.mark.timeout(900)
@each_payload
def test_all_signed_evidence(payload: str, tmp_path: Path, keys: dict[str, Path], said: Said) -> None:
    for kind, key, data in evidence(payload):
        (tmp_path / "file.bin").write_bytes(data)
        said("verify", kind, tmp_path / "file.bin", "--key", keys[key])
        said("verify", kind, tmp_path / "file.bin", "--key", keys[key], "--json", kind="json")


SUITES = {"tf-m": GOOD, "ztest": ZTEST, "psa-arch-tests": PSA}


@pytest.mark.parametrize("suite", SUITES)
@each_payload
def test_saved_consoles(payload: str, suite: str, tmp_path: Path, said: Said) -> None:
    """In front of, behind, and in place of words of the suite's own lines: names, descriptions, outcomes."""
    text, path = SUITES[suite], tmp_path / "console.log"
    one = payload.replace("\n", " ").replace("\r", " ")
    names = r"test_assert_equal|framework_tests|T_1001|One \(T_1XXX\)|about 'T_2|psa_import_key|Crypto|Secure|PASSED"
    forms = [
        re.sub(names, lambda found: found[0] + one, text),
        re.sub(names, lambda _: one, text),
        text.replace("\r\n", f"{payload}\r\n").replace("\n\r", f"{payload}\n\r"),
        text.replace("PASS", f"FAIL {one}"),
    ]
    for form in forms:
        path.write_bytes(form.encode("utf-8"))
        said("console-suite", path, "--suite", suite)
    said("console-suite", path, "--suite", suite, "--json", kind="json")


@each_payload
def test_records_of_others(payload: str, tmp_path: Path, said: Said) -> None:
    """Written by another harness: what compares, exports and keeps them prints their texts."""
    save_run(filled(whole(), payload), tmp_path / "a" / "run.json")
    worse = replace(whole(), tests=tuple(replace(test, outcome="failed") for test in whole().tests))
    save_run(filled(worse, payload), tmp_path / "b" / "run.json")
    said("compare", tmp_path / "a", tmp_path / "b")
    said("compare", tmp_path / "b", tmp_path / "a")
    said("export", tmp_path / "a", "--format", "junit", "--output", tmp_path / "out")


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_bundle_of_others(run_dir: Path, tmp_path: Path, keys: dict[str, Path], said: Said, step: int) -> None:
    """Signed by somebody: what it claims is text of theirs."""
    (tmp_path / "signer.pem").write_bytes(pem(TEST_ONLY_OTHER_P256))
    right = load_run(run_dir)
    for number, payload in enumerate(list(TEXTS.values())[::step]):
        hostile = filled(
            right, payload, keep=frozenset({"path", "sha256", "started", "nodeid", "board", "combination"})
        )
        save_run(hostile, run_dir / "run.json")
        out = tmp_path / f"{number}.evidence"
        said("evidence", "make", run_dir, "--key", tmp_path / "signer.pem", "-o", out)
        if out.exists():
            said("evidence", "verify", out, "--key", keys["result"])
            statement = next(out.rglob("*.json"), None)
            assert statement is not None
            statement.write_bytes(statement.read_bytes().replace(b"payload", payload.encode(), 1))
            said("evidence", "verify", out, "--key", keys["result"])
            shutil.rmtree(out)


def test_the_kit_is_right(tmp_path: Path, keys: dict[str, Path]) -> None:
    """Else every command would refuse the file at its first byte, and print nothing of it."""
    assert KEY.instance_id
    (tmp_path / "t").write_bytes(message(enc(rfc_claims())))
    assert main(["verify", "token", str(tmp_path / "t"), "--key", str(keys["iak"]), "--policy", "dev"]) in {0, 1}
    assert len(list(evidence("x"))) > 150
