"""``tfm-harness verify``: what a reviewer sees, what a script gets, and every way to use it wrongly."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from tfm_harness.cli import verify as cli_verify
from tfm_harness.cli.verify_files import MAX_FILE
from tfm_harness.errors import ConfigError
from tfm_harness.trust.ledger import FileLedger
from tfm_harness.verify import cbor
from tfm_harness.verify.cose import parse
from tfm_harness.verify.forms import decode
from tfm_harness.verify.keys import SymmetricKey
from tfm_harness.verify.mcuboot import parse_mcuboot

from tests.verify.test_verify_csr_and_certificates import GOOD as GOOD_CSR
from tests.verify.test_verify_csr_and_certificates import UUID
from tests.verify.test_verify_images import GOOD as GOOD_IMAGE
from tests.verify.test_verify_images import elf, make
from tests.verify.test_verify_results import claims as result_claims
from tests.verify.test_verify_signatures import FIRST, SECOND, K, sign_with_nonce
from tests.verify.verify_kit import (
    CHALLENGE,
    COMPONENTS,
    KEY,
    OTHER_KEY,
    TEST_ONLY_HMAC,
    TEST_ONLY_P256,
    cca_claims,
    enc,
    message,
    rfc_claims,
)

TOKEN = message(enc(rfc_claims()))


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="tfm-harness")
    cli_verify.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["verify", *map(str, arguments)])
    status = args.run(args)
    assert isinstance(status, int)
    return status


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "token.cbor").write_bytes(TOKEN)
    (tmp_path / "key.pem").write_text(KEY.pem)
    (tmp_path / "other.pem").write_text(OTHER_KEY.pem)
    (tmp_path / "challenge.bin").write_bytes(CHALLENGE)
    (tmp_path / "result.cbor").write_bytes(message(enc(result_claims())))
    (tmp_path / "image.bin").write_bytes(GOOD_IMAGE)
    (tmp_path / "request.csr").write_bytes(GOOD_CSR)
    return tmp_path


def test_a_good_token(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", folder / "token.cbor", "--key", folder / "key.pem", "--challenge", CHALLENGE.hex()) == 0
    out = capsys.readouterr().out
    assert out.startswith("token: PASS under policy validation")
    assert f"claims, signed by {KEY}" in out
    assert "security lifecycle (2395): 0x3000 (secured)" in out
    assert f"nonce (10): {CHALLENGE.hex()}" in out


def test_findings_come_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = rfc_claims() | {2394: 5, 2396: b"short"}
    (folder / "bad.cbor").write_bytes(message(enc(bad)))
    status = run("token", folder / "bad.cbor", "--key", folder / "key.pem", "--caller", "non-secure")
    out = capsys.readouterr().out
    assert status == 1
    assert out.index("attestation.client-id-caller") < out.index("claims, signed by")
    assert "expected: below zero for a non-secure caller" in out
    assert "seen:     5" in out
    assert "RFC 9783 s.4.1.2" in out


def test_unverified_claims_say_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", folder / "token.cbor", "--key", folder / "other.pem") == 1
    assert "NOT VERIFIED" in capsys.readouterr().out


def test_the_json_is_stable(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (
        "token",
        folder / "token.cbor",
        "--key",
        folder / "key.pem",
        "--challenge",
        f"@{folder}/challenge.bin",
        "--json",
    )
    assert run(*arguments) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert list(verdict) == ["schema", "evidence", "verdict", "policy", "counts", "findings", "content"]
    assert (verdict["schema"], verdict["verdict"], verdict["policy"]) == ("tfm-harness/verify/1", "pass", "validation")
    assert sum(verdict["counts"].values()) == len(verdict["findings"])
    assert set(verdict["findings"][0]) == {
        "id", "status", "severity", "title", "requirement", "expected", "seen", "where", "subject"}  # fmt: skip
    assert verdict["content"]["verified"] is True
    assert verdict["content"]["key"]["thumbprint"] == KEY.thumbprint.hex()
    assert {"name": "client_id", "label": 2394, "value": -1} in verdict["content"]["claims"]


def test_garbage_is_judged_and_not_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "garbage").write_bytes(b"\xff\xfe\xfd")
    for kind in ("token", "result", "image", "csr", "key"):
        assert run(kind, folder / "garbage", "--key", folder / "key.pem") == 1
        assert f"{kind}: FAIL" in capsys.readouterr().out
        assert run(kind, folder / "garbage", "--key", folder / "key.pem", "--json") == 1
        assert json.loads(capsys.readouterr().out)["content"] is None


def test_text_forms_of_evidence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import base64

    text = base64.encodebytes(GOOD_CSR).decode()
    (folder / "hex").write_text(" ".join(f"{byte:02x}" for byte in TOKEN) + "\n")
    (folder / "base64").write_bytes(base64.encodebytes(TOKEN))
    (folder / "pem").write_text(f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n")
    assert run("token", folder / "hex", "--key", folder / "key.pem") == 0
    assert run("token", folder / "base64", "--key", folder / "key.pem") == 0
    assert run("csr", folder / "pem", "--key", folder / "key.pem", "--cn", UUID, "--ou", "TLS") == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TOKEN)))
    assert run("token", "-", "--key", folder / "key.pem") == 0


@pytest.mark.parametrize("form", ["0x{}", "{:}", "colons", "upper"])
def test_a_challenge_as_people_write_it(folder: Path, form: str) -> None:
    text = {"colons": CHALLENGE.hex(":"), "upper": CHALLENGE.hex().upper()}.get(form) or form.format(CHALLENGE.hex())
    arguments = ("token", folder / "token.cbor", "--key", folder / "key.pem", "--challenge")
    assert run(*arguments, text) == 0
    assert run(*arguments, text[:-1] + ("0" if text[-1] != "0" else "1")) == 1


def test_firmware_that_holds_a_certificate_is_judged_as_the_image_it_is(folder: Path) -> None:
    image = make(payload=b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "image.bin").write_bytes(image)
    assert run("image", folder / "image.bin", "--key", folder / "key.pem") == 0


def test_text_that_never_ends_a_block_is_read_in_no_time() -> None:
    # 20 MB of block beginnings: a search that starts over at each of them would take hours.
    text = b"-----BEGIN A-----" * 1_200_000
    with pytest.raises(ConfigError, match="stands for no bytes"):
        decode(text)


def test_a_mac_token(folder: Path) -> None:
    (instance_id,) = SymmetricKey(TEST_ONLY_HMAC).instance_ids
    (folder / "mac.cbor").write_bytes(message(enc(rfc_claims() | {256: instance_id}), key=TEST_ONLY_HMAC, alg=5))
    (folder / "hmac_TEST_ONLY.bin").write_bytes(TEST_ONLY_HMAC)
    assert run("token", folder / "mac.cbor", "--mac-key", folder / "hmac_TEST_ONLY.bin") == 0
    assert run("token", folder / "mac.cbor", "--key", folder / "key.pem") == 1


def test_a_token_of_another_profile_is_judged_when_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "cca.cbor").write_bytes(message(enc(cca_claims())))
    base = ("token", folder / "cca.cbor", "--key", folder / "key.pem")
    assert run(*base) == 1
    assert "Arm CCA platform" in capsys.readouterr().out
    assert run(*base, "--profile", "http://arm.com/CCA-SSD/1.0.0") == 0
    assert run(*base, "--profile", "PSA_IOT_PROFILE_1") == 1
    both = ("--profile", "PSA_IOT_PROFILE_1", "--profile", "tag:psacertified.org,2023:psa#tfm")
    assert run("token", folder / "token.cbor", "--key", folder / "key.pem", *both) == 0


def test_a_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.tflite").write_bytes(b"model")
    (folder / "input.bin").write_bytes(bytes(range(256)))
    base = ("result", folder / "result.cbor", "--key", folder / "key.pem")
    nonce = hashlib.sha256(b"nonce").digest()[:16].hex()
    more = ("--nonce", nonce, "--model", folder / "model.tflite", "--input", folder / "input.bin")
    assert run(*base, *more) == 0
    assert '"shape": [1, 3]' in capsys.readouterr().out
    assert run(*base, "--challenge", nonce) == 0
    assert run(*base, "--challenge", "00" * 16) == 1
    assert run(*base, "--nonce", "00" * 16) == 1
    assert run(*base, "--model", folder / "input.bin") == 1
    assert run(*base, "--profile", "linaro-cai") == 1


def test_a_vendor_profile_and_its_mistakes(folder: Path) -> None:
    profile = folder / "vendor.yaml"
    profile.write_text("name: v\nalgorithms: [ES256]\nclaims: [{label: 1, name: x, type: uint}]\n")
    (folder / "v.cbor").write_bytes(message(enc({1: 5})))
    assert run("result", folder / "v.cbor", "--key", folder / "key.pem", "--profile", profile, "--policy", "dev") == 0
    for text in ("name: v\nalgoritms: []\n", "[", "5", "\x00"):
        profile.write_text(text)
        with pytest.raises(ConfigError) as caught:
            run("result", folder / "v.cbor", "--key", folder / "key.pem", "--profile", profile)
        assert str(profile) in (caught.value.where or "")


def test_the_ledger_finds_a_repeated_r_over_two_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "vendor.yaml").write_text("name: v\nalgorithms: [ES256]\nclaims: [{label: 1, name: x, type: uint}]\n")
    for number, data in enumerate((FIRST, SECOND)):
        (folder / f"{number}.cbor").write_bytes(data)
        run("result", folder / f"{number}.cbor", "--key", folder / "key.pem", "--profile", folder / "vendor.yaml",
            "--policy", "dev", "--ledger", folder / "ledger.sqlite")  # fmt: skip
        found = "result.ecdsa-nonce-reuse [critical]" in capsys.readouterr().out
        assert found is (number == 1)


def test_one_ledger_serves_tokens_results_and_requests(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--key", folder / "key.pem", "--ledger", folder / "ledger.sqlite")
    (folder / "token2.cbor").write_bytes(sign_with_nonce(TEST_ONLY_P256, enc(rfc_claims()), K))
    (folder / "result2.cbor").write_bytes(sign_with_nonce(TEST_ONLY_P256, enc(result_claims()), K))
    assert run("token", folder / "token2.cbor", *more) == 0
    assert run("token", folder / "token2.cbor", *more) == 0  # the same evidence again is no second signature
    assert run("csr", folder / "request.csr", *more) == 0
    capsys.readouterr()
    assert run("result", folder / "result2.cbor", *more) == 1
    out = capsys.readouterr().out
    assert "the private key follows from the two signatures" in out
    assert "token2.cbor and" in out
    with FileLedger(folder / "ledger.sqlite") as ledger:
        assert len(ledger) == 2


def test_an_image_a_request_and_a_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("image", folder / "image.bin", "--key", folder / "key.pem") == 0
    assert 'version: "1.2.3+4"' in capsys.readouterr().out
    assert run("image", folder / "image.bin", "--key", folder / "other.pem") == 1
    assert run("csr", folder / "request.csr", "--key", folder / "key.pem", "--cn", UUID) == 0
    assert run("csr", folder / "request.csr", "--any-key") == 0
    assert run("csr", folder / "request.csr", "--key", folder / "key.pem", "--cn", "somebody") == 1
    assert run("csr", folder / "request.csr", "--key", folder / "other.pem") == 1
    assert run("key", folder / "key.pem", "--key", folder / "key.pem") == 0
    assert run("key", folder / "key.pem", "--key", folder / "other.pem") == 1


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("token", "token.cbor"), "no-key"),
        (("result", "result.cbor"), "no-key"),
        (("image", "image.bin"), "no-key"),
        (("csr", "request.csr"), "no-key"),
        (("csr", "request.csr", "--key", "key.pem", "--key", "other.pem"), "usage"),
        (("csr", "request.csr", "--key", "key.pem", "--any-key"), "usage"),
        (("token", "huge", "--key", "key.pem"), "too-large"),
        (("token", "token.cbor", "--key", "key.pem", "--challenge", ""), "hex"),
        (("token", "token.cbor", "--key", "key.pem", "--model", "tamper"), "usage"),
        (("token", "token.cbor", "--mac-key", "short"), "key-file"),
        (("token", "absent", "--key", "key.pem"), "unreadable"),
        (("token", "empty", "--key", "key.pem"), "empty"),
        (("token", "token.cbor", "--key", "absent"), "unreadable"),
        (("token", "token.cbor", "--key", "token.cbor"), "key-file"),
        (("token", "token.cbor", "--key", "key.pem", "--challenge", "xyz"), "hex"),
        (("token", "token.cbor", "--key", "key.pem", "--challenge", "@absent"), "unreadable"),
        (("token", "token.cbor", "--mac-key", "absent"), "unreadable"),
        (("result", "result.cbor", "--key", "key.pem", "--profile", "nobody"), "result-profile"),
        (("result", "result.cbor", "--key", "key.pem", "--model", "absent"), "unreadable"),
        (("token", "token.cbor", "--key", "key.pem", "--build", "no-such-build"), "build-unknown"),
    ],
)
def test_usage_errors(folder: Path, arguments: tuple[str, ...], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").touch()
    (folder / "short").write_bytes(b"123456789012345")
    (folder / "huge").write_bytes(bytes(MAX_FILE + 1))
    with pytest.raises(ConfigError) as caught:
        run(*arguments)
    assert caught.value.kind == kind


def test_unknown_options_and_missing_kinds_are_usage_errors(folder: Path) -> None:
    for arguments in ((), ("token",), ("nonsense", "x"), ("token", "x", "--policy", "lax")):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2


def test_no_control_characters_reach_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = rfc_claims() | {2400: "\x1b[2J\x1b]0;owned\x07", 265: "\x1b[31mprofile"}
    (folder / "evil.cbor").write_bytes(message(enc(evil)))
    run("token", folder / "evil.cbor", "--key", folder / "key.pem")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out


def test_the_list_of_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("checks") == 0
    assert "cose.signature" in capsys.readouterr().out
    assert run("checks", "--format", "json") == 0
    assert len(json.loads(capsys.readouterr().out)) > 100


BUILD = """\
images:
  - {file: spe.elf, world: secure, component: SPE}
  - {file: ns.signed.bin, world: nonsecure, at: 0x1000, component: NSPE}
trust: {iak: key.pem, results: key.pem, images: key.pem}
attestation: {profile: "tag:psacertified.org,2023:psa#tfm"}
policy: dev
waivers:
  - {finding: attestation.client-id-caller, reason: "the caller is a test, which is said here"}
"""


@pytest.fixture
def build(folder: Path) -> Path:
    spe = elf((1, 0x1000, b"secure code"))
    (folder / "spe.elf").write_bytes(spe)
    (folder / "ns.signed.bin").write_bytes(make(version=(1, 0, 0, 0)))
    (folder / "build.yaml").write_text(BUILD)
    image = parse_mcuboot(make(version=(1, 0, 0, 0)))
    assert image.hash_tlv is not None
    components = [dict(c) for c in COMPONENTS]
    components[0] |= {2: hashlib.sha256(b"secure code").digest(), 5: hashlib.sha256(KEY.spki).digest()}
    components[1] |= {2: image.hash_tlv[1], 4: "1.0.0", 5: next(iter(image.signer_ids))}
    (folder / "right.cbor").write_bytes(message(enc(rfc_claims() | {2399: components})))
    return folder


def test_a_build_gives_key_policy_images_and_waivers(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yaml = build / "build.yaml"
    assert run("token", build / "right.cbor", "--build", yaml) == 0
    assert run("token", build / "right.cbor", "--build", yaml, "--caller", "non-secure") == 0
    assert "policy dev" in capsys.readouterr().out
    assert run("token", build / "token.cbor", "--build", yaml) == 1
    assert "attestation.component-measurement" in capsys.readouterr().out
    assert run("token", build / "right.cbor", "--build", yaml, "--caller", "secure", "--policy", "validation") == 0
    out = capsys.readouterr().out
    assert "waived:" in out
    assert "the caller is a test" in out
    assert "build.yaml:" in out
    assert run("image", build / "ns.signed.bin", "--build", yaml) == 0


def test_a_token_under_a_build_comes_from_a_non_secure_caller_unless_said(build: Path) -> None:
    (build / "build.yaml").write_text(BUILD[: BUILD.index("waivers")])
    claims = cbor.decode(parse((build / "right.cbor").read_bytes()).payload).value
    assert isinstance(claims, dict)
    secure = build / "secure.cbor"
    secure.write_bytes(message(enc(claims | {2394: 7})))
    assert run("token", secure, "--build", build / "build.yaml") == 1
    assert run("token", secure, "--build", build / "build.yaml", "--caller", "secure") == 0
    with pytest.raises(ConfigError) as caught:
        run("token", secure, "--build", build / "build.yaml", "--model", "no-such-model")
    assert caught.value.kind == "usage"


def test_a_build_names_the_key_of_its_requests(build: Path) -> None:
    assert run("csr", build / "request.csr", "--build", build / "build.yaml", "--any-key") == 0
    for client, status in (("key.pem", 0), ("other.pem", 1)):
        (build / "build.yaml").write_text(BUILD.replace("trust: {", f"trust: {{client: {client}, "))
        assert run("csr", build / "request.csr", "--build", build / "build.yaml") == status


def test_a_build_whose_keys_are_provisioned_needs_the_board_s_key(build: Path) -> None:
    (build / "build.yaml").write_text(BUILD.replace("iak: key.pem", "iak: provisioned"))
    with pytest.raises(ConfigError) as caught:
        run("token", build / "right.cbor", "--build", build / "build.yaml")
    assert caught.value.kind == "no-key"
    assert run("token", build / "right.cbor", "--build", build / "build.yaml", "--key", build / "key.pem") == 0


def test_images_of_a_build_are_judged_together(build: Path) -> None:
    from tfm_harness.config.loading import load_build
    from tfm_harness.findings import Report
    from tfm_harness.trust.expectations import build_components, check_build_images

    loaded = load_build(build / "build.yaml")
    report = Report()
    assert len(check_build_images(loaded, report)) == 1
    assert report.ok, report.failed
    assert [c.type for c in build_components(loaded)] == ["SPE", "NSPE"]
    (build / "ns.signed.bin").write_bytes(struct.pack("<I", 0x96F3B83D) + bytes(10))
    for work in (build_components, lambda b: check_build_images(b, Report())):
        with pytest.raises(ConfigError) as caught:
            work(loaded)
        assert caught.value.kind == "image-format"
    (build / "spe.elf").write_bytes(b"\x7fELF no")
    with pytest.raises(ConfigError) as broken:
        build_components(loaded)
    assert broken.value.kind == "elf"


def test_a_model_image_is_expected_when_it_is_active(build: Path) -> None:
    from tfm_harness.config.loading import load_build
    from tfm_harness.config.result_profile import build_result_profile
    from tfm_harness.trust.expectations import build_components

    model = Path(__file__).resolve().parents[2] / "fw_builds" / "reference" / "models" / "sine.tflite"
    (build / "m.tflite").write_bytes(model.read_bytes())
    (build / "m.signed.bin").write_bytes(make(version=(4, 5, 6, 0)))
    more = "models: {m: {file: m.tflite, image: m.signed.bin, slot: 0}}\nresults: {profile: linaro-cai}\n"
    (build / "build.yaml").write_text(BUILD + more)
    loaded = load_build(build / "build.yaml")
    assert [c.type for c in build_components(loaded, model="m")] == ["SPE", "NSPE", "MODEL"]
    assert build_components(loaded, model="m")[2].version == "4.5.6"
    assert build_result_profile(loaded).name == "linaro-cai"


def test_the_installed_command_gives_the_exit_statuses_it_promises(folder: Path) -> None:
    from tfm_harness.cli.main import main

    good = ["verify", "token", str(folder / "token.cbor"), "--key", str(folder / "key.pem")]
    assert main(good) == 0
    assert main([*good[:-1], str(folder / "other.pem")]) == 1
    assert main(good[:-2]) == 4
    with pytest.raises(SystemExit) as caught:
        main(["verify", "token"])
    assert caught.value.code == 2


def test_help_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--help",), ("token", "--help"), ("image", "--help")):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 0
        out: Any = capsys.readouterr().out
        assert "exit status" in out
