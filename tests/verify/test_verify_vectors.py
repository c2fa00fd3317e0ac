"""The collected vectors and recordings, judged as their index says; each disagreement has its reason here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from tfm_harness.findings import Policy, Report
from tfm_harness.verify import cbor
from tfm_harness.verify.algorithms import ALGORITHMS
from tfm_harness.verify.cose import check_signature, verify_cose
from tfm_harness.verify.cose import parse as parse_cose
from tfm_harness.verify.csr import verify_csr
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keyfiles import parse_jwk, parse_key, parse_spki
from tfm_harness.verify.keys import KeyRing, PublicKey, SymmetricKey, VerificationKey
from tfm_harness.verify.results import ResultObservation, check_result_relations, verify_result
from tfm_harness.verify.token import TokenExpectations, verify_claims, verify_psa_token

from tests.verify.diagnostic import parse
from tests.verify.verify_kit import RECORDINGS, VECTORS, broken, enc, held, needs_recordings, needs_vectors, not_held

INDEX: list[dict[str, Any]] = json.loads((VECTORS / "index.json").read_text())["entries"] if VECTORS.is_dir() else []


def entries(*kinds: str) -> list[Any]:
    found = [e for e in INDEX if e["kind"] in kinds and e["file"] not in BOUND_TO_CORIM]
    return [pytest.param(e, id=f"{e['file']}-{number}") for number, e in enumerate(found)] or [
        pytest.param(None, marks=needs_vectors)
    ]


# Evidence whose key stands in a CoRIM beside it: it is judged with that CoRIM.
BOUND_TO_CORIM = {"corim/services-psa-evidence.cbor"}

# What the index calls acceptable and the harness refuses, with the clause; docs/verification.md says the same.
STRICTER = {
    "Examples/sign1-tests__sign-pass-01.json": "cose.algorithm-protected",
    "Examples/sign1-tests__sign-pass-03.json": "cose.tag",
    "Examples/ecdsa-examples__ecdsa-sig-04.json": "cose.algorithm-key",
    "Examples/mac0-tests__mac-pass-01.json": "cose.algorithm-protected",
    "Examples/mac0-tests__mac-pass-03.json": "cose.tag",
    "Examples/hmac-examples__HMac-enc-05.json": "cose.algorithm-allowed",
    "go-cose/testdata__sign1-verify-0005.json": "cose.algorithm-allowed",
}


def file_key(entry: dict[str, Any]) -> VerificationKey:
    data = (VECTORS / entry["key"]).read_bytes()
    return SymmetricKey(data) if entry["key"].endswith("symmetric_iak.key") else parse_key(data)


@pytest.mark.parametrize("entry", entries("psa-token/sign1", "psa-token/mac0"))
def test_tokens(entry: dict[str, Any]) -> None:
    report = Report(policy=Policy.DEV)
    token = verify_psa_token((VECTORS / entry["file"]).read_bytes(), keys=file_key(entry), report=report)
    if entry["expected"].startswith("accept"):
        assert report.ok, report.failed
        assert token.verified
        assert ("attestation.profile-legacy" in not_held(report)) is (entry["expected"] == "accept-legacy")
        if "instance_id_matches_key" in entry:
            assert (token.instance_id_scheme is not None) is entry["instance_id_matches_key"]
            assert ("attestation.instance-id-key" in held(report)) is entry["instance_id_matches_key"]
    elif entry["expected"] == "reject":
        assert not report.ok
        stages = {
            "claims/profile": "attestation.profile-known", "signature": "cose.signature", "cbor": "cbor.trailing",
            "cose": "cose.algorithm-protected",
        }  # fmt: skip
        assert stages[entry["stage"]] in broken(report)
    else:
        assert entry["expected"] == "claims-valid; tag not verifiable"
        assert broken(report) == {"cose.signature"}
        assert not token.verified


def test_the_published_dummy_key_fails_a_port() -> None:
    if not VECTORS.is_dir():
        pytest.skip("the vector collection ../shared/vectors is absent")
    folder = VECTORS / "psatoken"
    key = parse_key((folder / "testvectors__tf-m__public.pem").read_bytes())
    report = Report(policy=Policy.VALIDATION)
    token = verify_psa_token((folder / "testvectors__tf-m__psa-iot-1_sign1.bin").read_bytes(), keys=key, report=report)
    assert token.instance_id_scheme == "point"
    assert broken(report) == {
        "attestation.dummy-key", "attestation.dummy-implementation-id", "attestation.dummy-certification-reference",
        "attestation.dummy-boot-seed",
    }  # fmt: skip


@pytest.mark.parametrize("entry", entries("claims-diag"))
def test_claims_in_diagnostic_notation(entry: dict[str, Any]) -> None:
    claims = cbor.decode(enc(parse((VECTORS / entry["file"]).read_text()))).value
    assert isinstance(claims, dict)
    report = Report(policy=Policy.DEV)
    verify_claims(claims, report=report)
    assert report.ok is (entry["expected"] != "reject"), report.failed


JSON_NAMES = {
    "psa-client-id": (2394, -75001),
    "psa-security-lifecycle": (2395, -75002),
    "psa-implementation-id": (2396, -75003),
    "psa-boot-seed": (2397, -75004),
    "psa-certification-reference": (2398, -75005),
    "psa-hwver": (None, -75005),
    "psa-software-components": (2399, -75006),
    "psa-no-software-measurements": (None, -75007),
    "psa-nonce": (10, -75008),
    "psa-instance-id": (256, -75009),
    "psa-verification-service-indicator": (2400, -75010),
}
COMPONENT_NAMES = {"measurement-type": 1, "measurement-value": 2, "version": 4, "signer-id": 5}
BINARY = {"psa-implementation-id", "psa-boot-seed", "psa-nonce", "psa-instance-id"}


def unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def claims_from_json(text: str, *, p1: bool) -> dict[int | str | bytes, cbor.CborValue]:
    """psatoken's JSON claims under one of its two profiles."""
    made: dict[int | str | bytes, Any] = {}
    values = json.loads(text)
    profile = values.get("psa-profile" if p1 else "eat-profile")
    if profile is not None:
        made[-75000 if p1 else 265] = profile
    for name, labels in JSON_NAMES.items():
        label = labels[p1]
        if name in values and label is not None and label not in made:
            value = values[name]
            if name == "psa-software-components":
                value = [
                    {
                        COMPONENT_NAMES[k]: unbase64(v) if k in {"measurement-value", "signer-id"} else v
                        for k, v in c.items()
                    }
                    for c in value
                ]
            made[label] = unbase64(value) if name in BINARY else value
    return made


@pytest.mark.parametrize("entry", entries("claims-json"))
def test_claims_in_json(entry: dict[str, Any]) -> None:
    text = (VECTORS / entry["file"]).read_text()
    verdicts = {}
    for p1 in (False, True):
        if ("psa-profile" if p1 else "eat-profile") not in json.loads(text) and not (p1 and "minimal" in entry["file"]):
            continue
        report = Report(policy=Policy.DEV)
        verify_claims(claims_from_json(text, p1=p1), report=report, expected=TokenExpectations())
        verdicts[p1] = report
    if "policy-fail" in entry["expected"]:
        # The claims are well-formed; only a comparison with what was flashed can tell.
        assert all(report.ok for report in verdicts.values())
        return
    assert verdicts, "no profile in the vector"
    if entry["expected"] == "accept":
        assert all(report.ok for report in verdicts.values()), [r.failed for r in verdicts.values()]
    else:
        assert not any(report.ok for report in verdicts.values())


def inside_key(case: dict[str, Any]) -> VerificationKey | None:
    """The key inside a COSE example; None for the kinds that evidence may not use."""
    if "key" in case:
        return None if case["key"]["kty"] == "RSA" else parse_jwk(case["key"])
    given = case["input"].get("sign0") or case["input"]["mac0"]["recipients"][0]
    return parse_jwk(given["key"])


@pytest.mark.parametrize("entry", entries("cose/sign1", "cose/mac0"))
def test_cose_examples(entry: dict[str, Any]) -> None:
    case = json.loads((VECTORS / entry["file"]).read_text())
    if "output" in case:
        message = bytes.fromhex(case["output"]["cbor"])
    else:
        message = bytes.fromhex(case["sign1::verify"]["taggedCOSESign1"]["cborHex"])
    report = Report(policy=Policy.DEV)
    key = inside_key(case) or SymmetricKey(bytes(32))
    outcome = verify_cose(message, keys=key, report=report)
    if entry["expected"] == "accept" and entry["file"] not in STRICTER:
        assert report.ok, report.failed
        assert outcome.verified
        assert "intermediates" not in case or outcome.message is not None
    else:
        assert not report.ok
        assert not outcome.verified
        if entry["file"] in STRICTER:
            assert STRICTER[entry["file"]] in broken(report)


@needs_vectors
def test_every_entry_of_the_index_is_judged() -> None:
    judged = {"psa-token/sign1", "psa-token/mac0", "claims-diag", "claims-json", "cose/sign1", "cose/mac0",
              "ecdsa-p1363-suite", "hmac-suite"}  # fmt: skip
    not_read = {"corim/psa", "ear/veraison"}  # reference values and attestation results: no parser reads them here
    assert {e["kind"] for e in INDEX} - not_read == judged
    assert len(INDEX) >= 62
    for entry in INDEX:
        assert hashlib.sha256((VECTORS / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]


@needs_vectors
def test_ecdsa_edge_cases() -> None:
    """Wycheproof's raw P-256 signatures: through the envelope where they fit it, else by the format check."""
    suite = json.loads((VECTORS / "wycheproof/testvectors_v1__ecdsa_secp256r1_sha256_p1363_test.json").read_text())
    counted = {"valid": 0, "invalid": 0}
    for group in suite["testGroups"]:
        key = parse_spki(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(key, PublicKey)
        for test in group["tests"]:
            counted[test["result"]] += 1
            assert _verifies_raw(key, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])) is (
                test["result"] == "valid"
            ), test
    assert counted == {"valid": 173, "invalid": 89}


def _verifies_raw(key: PublicKey, message: bytes, signature: bytes) -> bool:
    from unittest import mock

    # The suite signs plain messages; everything but the Sig_structure around them is the harness's own path.
    envelope = parse_cose(enc_message(signature))
    with mock.patch("tfm_harness.verify.cose.to_be_signed", return_value=message):
        report = Report()
        return check_signature(envelope, ALGORITHMS[-7], KeyRing([key]), Judge(report)) is not None


def enc_message(signature: bytes, tag: int = 18, alg: int = -7) -> bytes:
    from tests.verify.verify_kit import Tagged

    return enc(Tagged(tag, [enc({1: alg}), {}, b"", signature]))


@needs_vectors
def test_hmac_edge_cases() -> None:
    from unittest import mock

    suite = json.loads((VECTORS / "wycheproof/testvectors_v1__hmac_sha256_test.json").read_text())
    count = 0
    for group in suite["testGroups"]:
        for test in group["tests"]:
            key, tag, message = (bytes.fromhex(test[name]) for name in ("key", "tag", "msg"))
            if group["tagSize"] != 256:  # truncated tags belong to another algorithm, which is not allowed here
                assert hmac.digest(key, message, "sha256")[: len(tag)] == tag or test["result"] == "invalid"
                expected = False
            else:
                expected = test["result"] == "valid"
            envelope = parse_cose(enc_message(tag, 17, 5))
            with mock.patch("tfm_harness.verify.cose.to_be_signed", return_value=message):
                key_ring = KeyRing([SymmetricKey(key)])
                verified = check_signature(envelope, ALGORITHMS[5], key_ring, Judge(Report())) is not None
            assert verified is expected, test
            count += 1
    assert count == suite["numberOfTests"]


@needs_recordings
@pytest.mark.parametrize("folder", ["tokens-psa_2_0_0", "tokens-psa_iot_1"])
@pytest.mark.parametrize("size", ["32-random", "64"])
def test_tokens_of_real_tf_m(folder: str, size: str) -> None:
    base = RECORDINGS / "tf-m" / folder
    key = parse_key((base / "iak_pub.pem").read_bytes())
    assert parse_key((base / "iak_pub.cose_key.cbor").read_bytes()) == key
    challenge = (base / f"challenge-{size}.bin").read_bytes()
    report = Report(policy=Policy.DEV)
    expected = TokenExpectations(caller="non-secure", lifecycle=frozenset({0x3000}), max_size=592)
    token = verify_psa_token(
        (base / f"token-{size}.cbor").read_bytes(), keys=key, challenge=challenge, expected=expected, report=report
    )
    assert report.ok, report.failed
    assert token.verified
    assert token.instance_id_scheme == "point"
    assert {f for f in not_held(report) if f.startswith("attestation.dummy")} == {
        "attestation.dummy-key", "attestation.dummy-implementation-id", "attestation.dummy-certification-reference",
        "attestation.dummy-boot-seed",
    }  # fmt: skip
    recorded = {int(label): value for label, value in json.loads((base / "claims.json").read_text()).items()}
    nonce_label = 10 if 10 in recorded else -75008
    for label, value in recorded.items():
        seen = token.claims[label]
        if label == nonce_label:
            assert seen == challenge
        elif isinstance(value, list):
            assert isinstance(seen, list)
            shown = [{str(k): v.hex() if isinstance(v, bytes) else v for k, v in c.items()} for c in seen]  # type: ignore[union-attr]
            assert shown == value
        else:
            assert (seen.hex() if isinstance(seen, bytes) else seen) == value
    wrong = Report(policy=Policy.DEV)
    verify_psa_token((base / f"token-{size}.cbor").read_bytes(), keys=key, challenge=bytes(32), report=wrong)
    assert broken(wrong) == {"attestation.nonce-challenge"}


def linaro() -> dict[str, Any]:
    return json.loads((RECORDINGS / "linaro" / "cose.json").read_text())  # type: ignore[no-any-return]


def linaro_keys() -> dict[str, PublicKey]:
    text = linaro()["public"].replace("\r", "")
    pems = [
        "-----BEGIN" + part.split("-----END")[0] + "-----END PUBLIC KEY-----" for part in text.split("-----BEGIN")[1:]
    ]
    keys = [parse_key(pem.encode()) for pem in pems]
    assert all(isinstance(key, PublicKey) for key in keys)
    return dict(zip(("5001", "5002"), keys, strict=True))  # type: ignore[arg-type]


@needs_recordings
def test_signed_results_of_linaro_s_firmware() -> None:
    keys = linaro_keys()
    observations = []
    for number, entry in enumerate(linaro()["cose"]):
        is_value = "-80000" in entry["payload"]
        report = Report(policy=Policy.DEV)
        profile = "linaro-cai" if is_value else "linaro-cai-token"
        result = verify_result(bytes.fromhex(entry["raw"]), profile=profile, keys=keys["5002"], report=report)
        assert result.verified is entry["ok"]
        # The model token leaks four stray bytes behind an MD5; the values are right.
        assert broken(report) == (set() if is_value else {"result.stray-bytes"})
        assert "result.freshness" in not_held(report)
        wrong = Report(policy=Policy.DEV)
        other = verify_result(bytes.fromhex(entry["raw"]), profile=profile, keys=keys["5001"], report=wrong)
        assert other.verified is entry["ok_5001"]
        observations.append(ResultObservation(result=result, request=number))
    report = Report()
    check_result_relations(observations, report)
    assert report.ok
    assert "result.counter-rises" in held(report)


@needs_recordings
def test_signing_requests_of_linaro_s_firmware() -> None:
    for name, pem in linaro()["csr"].items():
        der = base64.b64decode("".join(pem.splitlines()[1:-1]))
        report = Report(policy=Policy.VALIDATION)
        uuid = "d5668f22-64b7-4efd-b4cb-0b6d940434b0"
        verify_csr(der, expected_key=linaro_keys()[name], expected_cn=uuid, report=report)
        assert broken(report) == {"csr.signature-algorithm"}
        assert {"csr.signature", "csr.key-expected", "csr.common-name"} <= held(report)
