"""Time stamps of bundles: what holds, what does not, and authorities that do not answer as they should."""

from __future__ import annotations

import json
import random
import socket
import sys
from pathlib import Path

import pytest
from tfm_harness.cli.main import main
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.evidence.bundle import make_bundle
from tfm_harness.evidence.signers import load_signer, load_verification_keys
from tfm_harness.evidence.timestamp import check_stamp, load_authorities, make_query, read_stamp, stamp_name
from tfm_harness.evidence.tsa import request_stamp, split_url
from tfm_harness.evidence.tsa_form import sort_certificates
from tfm_harness.evidence.verified import Verified, verify_bundle
from tfm_harness.findings import Policy, Report

from tests.evidence.authority import Authority, needs_openssl, serving

pytestmark = needs_openssl

Key = tuple[str, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "good")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "other")


@pytest.fixture
def stamped(run_dir: Path, signing_key: Key, authority: Authority, tmp_path: Path) -> Path:
    output = tmp_path / "night.evidence"
    make_bundle(
        run_dir, [load_signer(signing_key[0])], output, stamp=lambda data: authority.answer(make_query(data)[0])
    )
    return output


def verify(bundle: Path, key: Key, *trusted: Authority) -> tuple[Report, Verified]:
    report = Report(policy=Policy.PRODUCTION)
    roots = [root for one in trusted for root in load_authorities(one.root.read_bytes(), "root")]
    return report, verify_bundle(bundle, load_verification_keys([key[1]]), report, authorities=roots)


def broken(report: Report) -> set[str]:
    return {finding.id for finding in report.failed}


def test_a_stamp_holds_and_says_when_and_who(stamped: Path, signing_key: Key, authority: Authority) -> None:
    report, found = verify(stamped, signing_key, authority)
    assert report.ok, report.failed
    (stamp,) = found.stamps
    assert stamp.authority == "CN=TEST_ONLY TSA"
    assert stamp.time.startswith("20")
    assert stamp.time.endswith("Z")


def test_without_a_root_the_stamp_proves_nothing_and_that_is_said(stamped: Path, signing_key: Key) -> None:
    report, found = verify(stamped, signing_key)
    assert report.ok, report.failed
    assert not found.stamps
    assert found.left["the time stamp's authority is not given (--tsa-ca)"] == 1


def test_a_stamp_of_somebody_else_is_none(stamped: Path, signing_key: Key, stranger: Authority) -> None:
    report, found = verify(stamped, signing_key, stranger)
    assert broken(report) == {"evidence.timestamp"}
    assert not found.stamps


def test_a_stamp_that_was_taken_away_is_missed(stamped: Path, signing_key: Key, authority: Authority) -> None:
    next(stamped.glob("*.tsr")).unlink()
    report, _ = verify(stamped, signing_key, authority)
    assert broken(report) == {"evidence.timestamp"}


def test_a_stamp_of_another_bundle_is_none(
    stamped: Path, signing_key: Key, authority: Authority, run_dir: Path
) -> None:
    other = authority.answer(make_query(b"another bundle")[0])
    next(stamped.glob("*.tsr")).unlink()
    (stamped / stamp_name("night.intoto.jsonl", other)).write_bytes(other)
    for trusted in ((), (authority,)):
        report, _ = verify(stamped, signing_key, *trusted)
        assert broken(report) == {"evidence.timestamp"}
        assert "something else" in report.failed[0].seen


def test_a_certificate_for_another_purpose_stamps_nothing(stamped: Path, signing_key: Key, tmp_path: Path) -> None:
    web = Authority(tmp_path / "web")
    # `openssl ts` refuses to sign with such a certificate: the verifier gets one in place of the right one.
    data = (stamped / "night.intoto.jsonl").read_bytes()
    right = web.answer(make_query(data)[0])
    oid = bytes.fromhex("06082b06010505070308")  # id-kp-timeStamping, in the certificate
    assert right.count(oid) == 1
    wrong = right.replace(oid, oid[:-1] + b"\x01")
    next(stamped.glob("*.tsr")).unlink()
    (stamped / stamp_name("night.intoto.jsonl", wrong)).write_bytes(wrong)
    report, _ = verify(stamped, signing_key, web)
    assert broken(report) == {"evidence.timestamp"}


def test_any_changed_byte_of_the_stamp_is_found(stamped: Path, signing_key: Key, authority: Authority) -> None:
    path = next(stamped.glob("*.tsr"))
    whole = path.read_bytes()
    chance = random.Random(3)
    for at in chance.sample(range(len(whole)), 20):
        data = bytearray(whole)
        data[at] ^= chance.randrange(1, 256)
        path.write_bytes(data)
        for trusted in ((), (authority,)):
            report, _ = verify(stamped, signing_key, *trusted)
            assert "evidence.file-digest" in broken(report), at


def test_a_changed_byte_under_a_matching_name_changes_no_time_and_nothing_that_is_stamped(authority: Authority) -> None:
    data = b"statements"
    whole = authority.answer(make_query(data)[0])
    roots = load_authorities(authority.root.read_bytes(), "root")
    time = read_stamp(whole, data).tst_info.gen_time
    held = 0
    for at in range(len(whole)):
        changed = bytes((*whole[:at], whole[at] ^ 1, *whole[at + 1 :]))
        found = check_stamp(changed, data, roots, Report(), "stamp")
        if found is not None:
            held += 1
            assert read_stamp(changed, data).tst_info.gen_time == time
    assert held < 30  # versions, and which algorithms are named: the parts that CMS does not sign


# -- the authority's answer


def test_an_answer_with_a_chain_in_any_order(
    run_dir: Path, signing_key: Key, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "chain", chain=True)
    with serving(authority) as url:
        words = ["evidence", "make", str(run_dir), "--key", signing_key[0], "--tsa", url]
        assert main([*words, "--tsa-ca", str(authority.root)]) == 0, capsys.readouterr().err
    report, found = verify(run_dir.with_name("night.evidence"), signing_key, authority)
    assert report.ok, report.failed
    assert [stamp.authority for stamp in found.stamps] == ["CN=TEST_ONLY TSA"]


def test_sorting_changes_nothing_but_the_order(tmp_path: Path, authority: Authority) -> None:
    one, query = authority.answer(make_query(b"data")[0]), make_query(b"data")[0]
    assert sort_certificates(one) == one
    two = Authority(tmp_path / "chain", chain=True).answer(query)
    in_order = sort_certificates(two)
    assert sorted(in_order) == sorted(two)
    assert sort_certificates(in_order) == in_order
    assert read_stamp(in_order, b"data")
    for cut in range(0, len(two), 7):  # nothing raises, and no byte is lost or made up
        assert sorted(sort_certificates(two[:cut])) == sorted(two[:cut])


@pytest.mark.parametrize(("how", "kind"), [
    ("status", "timestamp-authority"), ("redirect", "timestamp-authority"), ("page", "timestamp-authority"),
    ("flood", "evidence-timestamp"), ("garbage", "evidence-timestamp"), ("refuses", "evidence-timestamp"),
])  # fmt: skip
def test_answers_that_are_no_stamp(authority: Authority, how: str, kind: str) -> None:
    with serving(authority, how) as url, pytest.raises((ConfigError, InfrastructureError)) as caught:
        request_stamp(url, b"data")
    assert caught.value.kind == kind


def test_where_the_package_is_missing_no_stamp_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    report = Report()
    with pytest.raises(ConfigError) as error:
        check_stamp(b"", b"", [], report, "stamp")
    assert error.value.kind == "evidence-extra"
    assert report.findings == []


def test_an_authority_that_never_ends_is_cut_off(authority: Authority) -> None:
    with serving(authority, "dribbles") as url, pytest.raises((ConfigError, InfrastructureError)):
        request_stamp(url, b"data", seconds=0.3)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(InfrastructureError) as caught:
        request_stamp(f"http://127.0.0.1:{port}/", b"data")
    assert caught.value.kind == "timestamp-authority"


def test_an_answer_to_another_request_is_refused(authority: Authority) -> None:
    answer = authority.answer(make_query(b"data")[0])
    assert read_stamp(answer, b"data")
    with pytest.raises(ConfigError, match="no time stamp"):
        read_stamp(answer, b"data", nonce=make_query(b"data")[1])


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tsa.example",
        "ftp://tsa.example",
        "http://",
        "http://a b",
        "http://x:99999",
        "http://x:0",
        "http://ä.example",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split_url(url)
    assert caught.value.kind == "evidence-authority"


# -- the commands


def test_stamped_when_made(
    run_dir: Path, signing_key: Key, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(authority) as url:
        words = ["evidence", "make", str(run_dir), "--key", signing_key[0], "--tsa", url]
        assert main([*words, "--tsa-ca", str(authority.root)]) == 0
    bundle = run_dir.with_name("night.evidence")
    verifying = ["evidence", "verify", str(bundle), "--key", str(signing_key[1]), "--no-reference"]
    capsys.readouterr()
    assert main([*verifying, "--tsa-ca", str(authority.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["time_stamps"][0]["authority"] == "CN=TEST_ONLY TSA"
    assert main([*verifying, "--tsa-ca", str(signing_key[1])]) == 4
    assert "evidence-authority" in capsys.readouterr().err


def test_no_bundle_without_the_stamp_that_was_asked_for(
    run_dir: Path, signing_key: Key, authority: Authority, stranger: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evidence", "make", str(run_dir), "--key", signing_key[0]]
    with serving(authority, "status") as url:
        assert main([*words, "--tsa", url]) == 10
    with serving(authority) as url:
        assert main([*words, "--tsa", url, "--tsa-ca", str(stranger.root)]) == 4
    assert "does not hold" in capsys.readouterr().err
    assert main([*words, "--tsa-ca", str(authority.root)]) == 4
    assert not list(run_dir.parent.glob("*night.evidence*"))


def test_stamped_later_by_way_of_files(
    run_dir: Path, signing_key: Key, authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evidence", "make", str(run_dir), "--key", signing_key[0]]) == 0
    bundle, query, reply = run_dir.with_name("night.evidence"), tmp_path / "x.tsq", tmp_path / "x.tsr"
    assert main(["evidence", "timestamp", str(bundle), "--query", str(query)]) == 0
    reply.write_bytes(authority.answer(query.read_bytes()))
    add = ["evidence", "timestamp", str(bundle), "--reply", str(reply)]
    assert main([*add, "--tsa-ca", str(authority.root)]) == 0
    assert "time stamp: " in capsys.readouterr().out
    verifying = ["evidence", "verify", str(bundle), "--key", str(signing_key[1]), "--no-reference"]
    assert main([*verifying, "--tsa-ca", str(authority.root)]) == 0
    assert "signed before 20" in capsys.readouterr().out
    reply.write_bytes(authority.answer(make_query(b"another")[0]))
    assert main(add) == 4
    with serving(authority) as url:
        assert main(["evidence", "timestamp", str(bundle), "--tsa", url]) == 0
    assert "was not verified" in capsys.readouterr().out
