"""Broken PSA tokens, each by one named mutation: refused by the check that is there for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Policy, Report, Status, Waiver
from tfm_harness.verify.catalogue import ALL
from tfm_harness.verify.keys import KeyRing, PublicKey, SymmetricKey
from tfm_harness.verify.published import PUBLISHED_POINTS
from tfm_harness.verify.token import PSA_PROFILES, PsaToken, TokenExpectations, verify_psa_token

from tests.verify.verify_kit import (
    BOOT_SEED,
    CHALLENGE,
    COMPONENTS,
    IMPLEMENTATION_ID,
    KEY,
    OTHER_KEY,
    TEST_ONLY_HMAC,
    TEST_ONLY_OTHER_P256,
    TEST_ONLY_P256,
    TEST_ONLY_P384,
    TEST_ONLY_P521,
    Pairs,
    Raw,
    Tagged,
    broken,
    cca_claims,
    enc,
    held,
    legacy_claims,
    message,
    not_held,
    p1_claims,
    rfc_claims,
    signature_for,
    statuses,
)

NS = TokenExpectations(caller="non-secure")
Claims = dict[Any, Any]


def judge(
    token: bytes, *, policy: Policy = Policy.VALIDATION, expected: TokenExpectations = NS, keys: Any = KEY
) -> tuple[Report, PsaToken]:
    report = Report(policy=policy)
    return report, verify_psa_token(token, keys=keys, challenge=CHALLENGE, expected=expected, report=report)


def rfc(**changes: Any) -> bytes:
    """An RFC 9783 token with claims replaced (``c2394=0``) or removed (None)."""
    return change(rfc_claims(), changes)


def p1(**changes: Any) -> bytes:
    """The same for PSA_IOT_PROFILE_1; ``c75001`` is label -75001."""
    return change(p1_claims(), {("-" + k[1:] if k[1:].startswith("75") else k): v for k, v in changes.items()})


def legacy(**changes: Any) -> bytes:
    return change(legacy_claims(), changes)


def change(claims: Claims, changes: Mapping[str, Any]) -> bytes:
    for name, value in changes.items():
        label = int(name.removeprefix("c"))
        if value is None:
            del claims[label]
        else:
            claims[label] = value
    return message(enc(claims))


def components(*edits: Callable[[Claims], object]) -> list[Claims]:
    copies: list[Claims] = [dict(c) for c in COMPONENTS]
    for edit in edits:
        edit(copies[0])
    return copies


GOOD = rfc()
PAYLOAD = enc(rfc_claims())
PROTECTED = enc({1: -7})


def duplicated() -> bytes:
    return message(enc(Pairs((*rfc_claims().items(), (2394, -1)))))


def indefinite() -> bytes:
    body = b"".join(enc(k) + enc(v) for k, v in rfc_claims().items())
    return message(b"\xbf" + body + b"\xff")


MUTATIONS: dict[str, tuple[bytes, str]] = {
    # the envelope
    "untagged": (GOOD[1:], "cose.tag"),
    "wrapped in CWT tag 61": (b"\xd8\x3d" + GOOD, "cose.tag"),
    "tag of COSE_Sign": (b"\xd8\x62" + GOOD[1:], "cose.tag"),
    "COSE trailing": (GOOD + b"\x00", "cbor.trailing"),
    "payload trailing": (message(PAYLOAD + b"\x00"), "cbor.trailing"),
    "payload is no map": (message(enc([1, 2])), "attestation.claims-map"),
    "payload is no CBOR": (message(b"\xff"), "cbor.well-formed"),
    "payload empty": (message(b""), "cbor.well-formed"),
    "duplicate claim": (duplicated(), "cbor.unique-keys"),
    "duplicate header": (message(PAYLOAD, unprotected=Pairs(((4, b"a"), (4, b"a")))), "cbor.unique-keys"),
    "indefinite map": (indefinite(), "cbor.definite"),
    "tag inside the claims": (rfc(c2400=Tagged(32, "https://verifier.example")), "cbor.tags"),
    "alg only unprotected": (message(PAYLOAD, protected=Raw(b""), unprotected={1: -7}), "cose.algorithm-protected"),
    "alg in both": (message(PAYLOAD, unprotected={1: -7}), "cose.label-once"),
    "unknown crit": (message(PAYLOAD, protected={1: -7, 2: [99], 99: 0}), "cose.crit"),
    "ES384 on a P-256 key": (message(PAYLOAD, alg=-35), "cose.algorithm-key"),
    "another key": (message(PAYLOAD, key=TEST_ONLY_OTHER_P256), "cose.signature"),
    "payload changed after signing": (
        GOOD.replace(CHALLENGE, CHALLENGE[:-1] + b"\x00"), "cose.signature"),
    "signature bit flipped": (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "cose.signature"),
    "signature zero": (message(PAYLOAD, signature=bytes(64)), "cose.signature-format"),
    "signature empty": (message(PAYLOAD, signature=b""), "cose.signature-format"),
    "signature DER": (message(PAYLOAD, signature=b"\x30\x44" + bytes(68)), "cose.signature-format"),
    "kid of another key": (message(PAYLOAD, unprotected={4: OTHER_KEY.thumbprint}), "attestation.kid"),
    "MAC in place of a signature": (message(PAYLOAD, key=TEST_ONLY_HMAC, alg=5), "cose.algorithm-key"),
    # the profile
    "profile missing": (rfc(c265=None), "attestation.profile-known"),
    "profile unknown": (rfc(c265="tag:example.com,2026:psa"), "attestation.profile-known"),
    "profile a number": (rfc(c265=1), "attestation.profile-known"),
    "p1 profile wrong": (p1(c75000="http://example.com"), "attestation.profile-known"),
    "p1 profile in other letters": (p1(c75000="PSA_IoT_PROFILE_1"), "attestation.profile-known"),
    "CCA token": (message(enc(cca_claims())), "attestation.profile-expected"),
    "p1 name under 265": (rfc(c265="PSA_IOT_PROFILE_1"), "attestation.profile-known"),
    # nonce
    "nonce missing": (rfc(c10=None), "attestation.mandatory-claims"),
    "nonce another": (rfc(c10=bytes(32)), "attestation.nonce-challenge"),
    "nonce 31 bytes": (rfc(c10=CHALLENGE[:31]), "attestation.nonce-size"),
    "nonce 33 bytes": (rfc(c10=CHALLENGE + b"\x00"), "attestation.nonce-size"),
    "nonce an array": (rfc(c10=[CHALLENGE, CHALLENGE]), "attestation.nonce-size"),
    "nonce text": (rfc(c10="A" * 32), "attestation.nonce-size"),
    # instance id
    "instance id missing": (rfc(c256=None), "attestation.mandatory-claims"),
    "instance id 32 bytes": (rfc(c256=KEY.instance_id[:32]), "attestation.instance-id-format"),
    "instance id type 2": (rfc(c256=b"\x02" + KEY.instance_id[1:]), "attestation.instance-id-format"),
    "instance id not the key's hash": (rfc(c256=b"\x01" + bytes(32)), "attestation.instance-id-key"),
    # implementation id
    "implementation id missing": (rfc(c2396=None), "attestation.mandatory-claims"),
    "implementation id 31 bytes": (rfc(c2396=bytes(31)), "attestation.implementation-id-size"),
    "implementation id text": (rfc(c2396="i" * 32), "attestation.implementation-id-size"),
    "implementation id dummy": (
        rfc(c2396=b"".join(bytes([c]) * 8 for c in (0xAA, 0xBB, 0xCC, 0xDD))), "attestation.dummy-implementation-id"),
    # client id
    "client id missing": (rfc(c2394=None), "attestation.mandatory-claims"),
    "client id 0": (rfc(c2394=0), "attestation.client-id-range"),
    "client id positive": (rfc(c2394=1), "attestation.client-id-caller"),
    "client id true": (rfc(c2394=True), "attestation.client-id-range"),
    "client id 2^31": (rfc(c2394=1 << 31), "attestation.client-id-range"),
    "client id -2^31-1": (rfc(c2394=-(1 << 31) - 1), "attestation.client-id-range"),
    "client id text": (rfc(c2394="-1"), "attestation.client-id-range"),
    # lifecycle
    "lifecycle missing": (rfc(c2395=None), "attestation.mandatory-claims"),
    "lifecycle undefined": (rfc(c2395=0x0100), "attestation.lifecycle-range"),
    "lifecycle 0x6100": (rfc(c2395=0x6100), "attestation.lifecycle-range"),
    "lifecycle 0x3F00": (rfc(c2395=0x3F00), "attestation.lifecycle-range"),
    "lifecycle 17 bits": (rfc(c2395=0x13000), "attestation.lifecycle-range"),
    "lifecycle negative": (rfc(c2395=-1), "attestation.lifecycle-range"),
    "lifecycle bytes": (rfc(c2395=b"\x30\x00"), "attestation.lifecycle-range"),
    # boot seed
    "seed 7 bytes": (rfc(c268=bytes(7)), "attestation.boot-seed-size"),
    "seed 33 bytes": (rfc(c268=bytes(33)), "attestation.boot-seed-size"),
    "seed text": (rfc(c268="s" * 32), "attestation.boot-seed-size"),
    "p1 seed 33 bytes": (p1(c75004=bytes(33)), "attestation.boot-seed-size"),
    "p1 seed 31 bytes": (p1(c75004=bytes(31)), "attestation.boot-seed-size"),
    "p1 seed missing": (p1(c75004=None), "attestation.mandatory-claims"),
    "seed at 2397 under RFC 9783": (rfc(c268=None, c2397=BOOT_SEED), "attestation.foreign-labels"),
    "seed at 268 under the legacy profile": (legacy(c2397=None, c268=BOOT_SEED), "attestation.foreign-labels"),
    "p1 labels beside": (change(rfc_claims() | {-75001: -1}, {}), "attestation.foreign-labels"),
    # certification reference
    "reference of dashes": (rfc(c2398="-" * 19), "attestation.certification-reference-format"),
    "reference EAN-13 alone": (rfc(c2398="1234567890123"), "attestation.certification-reference-format"),
    "reference with a newline": (rfc(c2398="1234567890123-12345\n"), "attestation.certification-reference-format"),
    "reference in other digits": (rfc(c2398="\u0661234567890123-12345"), "attestation.certification-reference-format"),
    "reference bytes": (rfc(c2398=b"1234567890123-12345"), "attestation.certification-reference-format"),
    "reference dummy": (rfc(c2398="0604565272829-10010"), "attestation.dummy-certification-reference"),
    "p1 reference short": (p1(c75005="123456789012"), "attestation.certification-reference-format"),
    # software components
    "components missing": (rfc(c2399=None), "attestation.mandatory-claims"),
    "components empty": (rfc(c2399=[]), "attestation.sw-components"),
    "components a map": (rfc(c2399=dict(COMPONENTS[0])), "attestation.sw-components"),
    "components byte strings": (rfc(c2399=[b"spe"]), "attestation.sw-components"),
    "measurement missing": (rfc(c2399=components(lambda c: c.pop(2))), "attestation.sw-measurement"),
    "measurement 33 bytes": (rfc(c2399=components(lambda c: c.update({2: bytes(33)}))), "attestation.sw-measurement"),
    "measurement text": (rfc(c2399=components(lambda c: c.update({2: "m" * 32}))), "attestation.sw-measurement"),
    "signer missing": (rfc(c2399=components(lambda c: c.pop(5))), "attestation.sw-signer-id"),
    "signer 31 bytes": (rfc(c2399=components(lambda c: c.update({5: bytes(31)}))), "attestation.sw-signer-id"),
    "version a number": (rfc(c2399=components(lambda c: c.update({4: 1}))), "attestation.sw-text"),
    "type bytes": (rfc(c2399=components(lambda c: c.update({1: b"SPE"}))), "attestation.sw-text"),
    "description a number": (rfc(c2399=components(lambda c: c.update({6: 1}))), "attestation.sw-text"),
    "no-sw is 2": (p1(c75006=None, c75007=2), "attestation.no-sw-measurements"),
    "no-sw is true": (p1(c75006=None, c75007=True), "attestation.no-sw-measurements"),
    "sw and no-sw": (p1(c75007=1), "attestation.no-sw-measurements"),
    "neither sw nor no-sw": (p1(c75006=None), "attestation.mandatory-claims"),
    # the rest
    "VSI bytes": (rfc(c2400=b"https://verifier.example"), "attestation.verification-service-text"),
    "VSI empty": (rfc(c2400=""), "attestation.verification-service-text"),
    "byte string claim key": (change(rfc_claims() | {b"x": 1}, {}), "attestation.claim-keys"),
    "seed dummy": (rfc(c268=bytes(range(0xA0, 0xC0))), "attestation.dummy-boot-seed"),
}  # fmt: skip


def test_the_unbroken_tokens_pass() -> None:
    for token in (GOOD, p1(), legacy()):
        for policy in Policy:
            report, parsed = judge(token, policy=policy)
            assert broken(report) == set()
            assert parsed.verified


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("policy", Policy)
def test_a_broken_token_fails_by_its_check(name: str, policy: Policy) -> None:
    token, expected = MUTATIONS[name]
    report, _ = judge(token, policy=policy)
    assert expected in not_held(report)
    # A developer's bench runs on dummy values; nothing else is let through there.
    tolerated = policy is Policy.DEV and expected.startswith("attestation.dummy-")
    assert report.ok is tolerated
    assert (expected in broken(report)) is not tolerated


def test_every_check_that_a_broken_token_fails_is_counted_where_it_holds() -> None:
    right = [rfc(), legacy(), p1(), p1(c75006=None, c75007=1), message(PAYLOAD, unprotected={4: KEY.thumbprint})]
    counted = set().union(*(held(judge(token)[0]) for token in right))
    assert {check for _, check in MUTATIONS.values()} <= counted


def test_at_least_the_65_mutations_are_here() -> None:
    assert len(MUTATIONS) >= 65


LEGITIMATE: dict[str, tuple[bytes, set[str]]] = {
    "RFC 9783 with a seed of 8 bytes": (rfc(c268=bytes(8)), set()),
    "RFC 9783 without a seed": (rfc(c268=None), set()),
    "RFC 9783 mandatory claims only": (rfc(c268=None, c2398=None, c2400=None), set()),
    "p1 with EAN-13 as reference": (p1(c75005="1234567890123"), set()),
    "p1 without its profile claim": (p1(c75000=None), set()),
    "p1 without software": (p1(c75006=None, c75007=1), set()),
    "p1 without a signer id": (p1(c75006=components(lambda c: c.pop(5))), {"attestation.sw-signer-id-p1"}),
    "an unknown claim": (change(rfc_claims() | {4711: {"a": [1, 2.5, None]}}, {}), {"attestation.unknown-claims"}),
    "a text claim": (change(rfc_claims() | {"vendor": 1}, {}), {"attestation.unknown-claims"}),
    "longer integers than needed": (rfc(c2395=Raw(b"\x1a\x00\x00\x30\x00")), {"cbor.preferred"}),
    "lifecycle of a debug state": (rfc(c2395=0x40FF), set()),
    "the kid of the key": (message(PAYLOAD, unprotected={4: KEY.thumbprint}), set()),
    "a protected kid": (message(PAYLOAD, protected={1: -7, 4: KEY.thumbprint}), set()),
    "a content type": (message(PAYLOAD, protected={1: -7, 3: "application/eat+cwt"}), set()),
    "a crit that is understood": (message(PAYLOAD, protected={1: -7, 2: [1]}), set()),
    "measurements of 64 bytes": (rfc(c2399=components(lambda c: c.update({2: bytes(64), 5: bytes(48)}))), set()),
    "no type, no version": (
        rfc(c2399=components(lambda c: [c.pop(k) for k in (1, 4, 6)])), set()),
    "the legacy profile": (legacy(), {"attestation.profile-legacy"}),
}  # fmt: skip


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate_tokens_pass_with_their_notes(name: str) -> None:
    token, noted = LEGITIMATE[name]
    report, parsed = judge(token)
    assert report.ok, report.failed
    assert parsed.verified
    assert noted <= not_held(report)
    assert statuses(report, noted) <= {Status.NOTED}


def test_all_findings_come_at_once() -> None:
    token = rfc(c2394=0, c2395=0x0100, c2396=bytes(31), c10=bytes(5), c256=b"\x02" * 33, c2399=[], c2400=b"")
    report, _ = judge(token)
    assert broken(report) >= {
        "attestation.client-id-range", "attestation.lifecycle-range", "attestation.implementation-id-size",
        "attestation.nonce-size", "attestation.nonce-challenge", "attestation.instance-id-format",
        "attestation.instance-id-key", "attestation.sw-components", "attestation.verification-service-text",
    }  # fmt: skip


def test_both_instance_id_schemes_are_told_apart() -> None:
    report, new = judge(GOOD)
    assert new.instance_id_scheme == "cose-key"
    assert "attestation.instance-id-scheme" in held(report)
    report, old = judge(p1())
    assert old.instance_id_scheme == "point"
    assert "attestation.instance-id-scheme" in not_held(report)
    assert report.ok


def test_only_published_example_keys_may_carry_another_instance_id_on_a_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    token = rfc(c256=b"\x01" + bytes(32))
    monkeypatch.setitem(PUBLISHED_POINTS, hashlib.sha256(KEY.point).hexdigest(), "RFC 9783's example key")
    example = PublicKey.from_point(KEY.point)
    for policy, passes in ((Policy.DEV, True), (Policy.VALIDATION, False)):
        report, _ = judge(token, policy=policy, keys=example)
        assert report.ok is passes
        assert "attestation.instance-id-example" in not_held(report)
    report, _ = judge(rfc(), policy=Policy.DEV, keys=example)
    assert "attestation.instance-id-key" in held(report)


def test_expected_values_are_compared() -> None:
    wrong = TokenExpectations(
        implementation_id=bytes(32), instance_id=bytes(33), certification_reference="0000000000000-00000",
        verification_service="https://another.example",
        lifecycle=frozenset({0x1000}), client_id=-2, boot_seed=bytes(32), announced_size=10, max_size=20,
        profiles=PSA_PROFILES - {"tag:psacertified.org,2023:psa#tfm"},
    )  # fmt: skip
    report, _ = judge(GOOD, expected=wrong)
    wanted = {
        "attestation.implementation-id-expected", "attestation.instance-id-expected",
        "attestation.certification-reference-expected", "attestation.verification-service-expected",
        "attestation.lifecycle-expected",
        "attestation.client-id-caller", "attestation.boot-seed-expected", "attestation.size-announced",
        "attestation.size-max", "attestation.profile-expected",
    }  # fmt: skip
    assert broken(report) == wanted
    right = TokenExpectations(
        implementation_id=IMPLEMENTATION_ID, instance_id=KEY.instance_id, certification_reference="1234567890123-12345",
        verification_service="https://verifier.example",
        lifecycle=frozenset({0x3000}), client_id=-1, boot_seed=BOOT_SEED, announced_size=len(GOOD), max_size=592,
    )  # fmt: skip
    report, _ = judge(GOOD, expected=right)
    assert report.ok
    assert held(report) >= wanted


def test_a_cca_platform_token_is_named_and_judged_by_its_own_rules_when_asked_for() -> None:
    token = message(enc(cca_claims()))
    report, parsed = judge(token, expected=TokenExpectations())
    assert broken(report) == {"attestation.profile-expected"}
    assert parsed.profile is not None
    assert "CCA" in parsed.profile.name
    cca = TokenExpectations(profiles=frozenset({"http://arm.com/CCA-SSD/1.0.0"}))
    report, _ = judge(token, expected=cca)
    assert report.ok
    for label, expected in ((2401, "attestation.cca-config"), (2402, "attestation.cca-hash-algorithm")):
        report, _ = judge(message(enc(cca_claims() | {label: b""})), expected=cca)
        assert broken(report) == {expected}
    report, _ = judge(GOOD, expected=cca)
    assert broken(report) == {"attestation.profile-expected"}


def test_a_symmetric_token_verifies_with_its_key_only() -> None:
    key = SymmetricKey(TEST_ONLY_HMAC)
    (instance_id,) = key.instance_ids
    token = message(enc(rfc_claims() | {256: instance_id}), key=TEST_ONLY_HMAC, alg=5)
    report, parsed = judge(token, keys=key)
    assert report.ok
    assert parsed.instance_id_scheme == "symmetric"
    report, _ = judge(token, keys=SymmetricKey(bytes(32)))
    assert "cose.signature" in broken(report)
    report, _ = judge(message(enc(rfc_claims()), key=TEST_ONLY_HMAC, alg=5, signature=bytes(31)), keys=key)
    assert "cose.signature-format" in broken(report)


def test_the_key_is_found_by_instance_id_in_a_ring() -> None:
    ring = KeyRing([OTHER_KEY, KEY, SymmetricKey(TEST_ONLY_HMAC)])
    report, parsed = judge(GOOD, keys=ring)
    assert report.ok
    assert parsed.key == KEY
    report, _ = judge(rfc(c256=b"\x01" + bytes(32)), keys=ring)
    assert {"cose.key-found", "cose.signature"} <= broken(report)
    # The instance id names one board; another board's signature under it is no evidence.
    report, _ = judge(message(PAYLOAD, key=TEST_ONLY_OTHER_P256), keys=ring)
    assert "cose.signature" in broken(report)


@pytest.mark.parametrize("keys", [None, [], KeyRing])
def test_no_key_is_an_error_and_never_a_pass(keys: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        judge(GOOD, keys=keys if not callable(keys) else [])
    assert caught.value.kind == "no-key"


def test_a_caller_of_another_name_is_a_config_error() -> None:
    with pytest.raises(ConfigError) as caught:
        TokenExpectations(caller="ns")
    assert caught.value.kind == "expectation"


def test_no_challenge_is_said_and_fails_production() -> None:
    for policy, ok in ((Policy.DEV, True), (Policy.VALIDATION, True), (Policy.PRODUCTION, False)):
        report = Report(policy=policy)
        verify_psa_token(GOOD, keys=KEY, report=report)
        assert "attestation.challenge-given" in not_held(report)
        assert report.ok is ok


def test_offsets_count_from_the_start_of_the_token() -> None:
    report, _ = judge(duplicated())
    (finding,) = (f for f in report.failed if f.id == "cbor.unique-keys")
    offset = int(finding.where.removeprefix("byte "))
    assert duplicated()[offset : offset + 3] == enc(2394)


def test_the_signature_is_over_the_protected_bytes_as_sent() -> None:
    odd = Raw(b"\xa1\x01\x38\x06")  # alg -7 in a longer form than needed
    token = message(PAYLOAD, protected=odd, signature=signature_for(odd.data, PAYLOAD, TEST_ONLY_P256, -7))
    report, parsed = judge(token)
    assert report.ok
    assert parsed.verified
    assert "cbor.preferred" in not_held(report)


UNWAIVABLE = {check.id for check in ALL if not check.waivable}


@pytest.mark.parametrize("name", [name for name, (_, check_id) in MUTATIONS.items() if check_id in UNWAIVABLE])
def test_no_waiver_excuses_what_makes_evidence_evidence(name: str) -> None:
    report = Report(policy=Policy.DEV, waivers=(Waiver(finding="*", reason="everything"),))
    verify_psa_token(MUTATIONS[name][0], keys=KEY, challenge=CHALLENGE, expected=NS, report=report)
    assert MUTATIONS[name][1] in broken(report)


def test_a_waived_finding_is_shown_and_does_not_fail() -> None:
    waivers = (
        Waiver(finding="attestation.dummy-*", reason="bench", where="build.yaml:9"),
        Waiver(finding="attestation.kid", reason="never needed"),
    )
    report = Report(policy=Policy.VALIDATION, waivers=waivers)
    token = rfc(c268=bytes(range(0xA0, 0xC0)), c2398="0604565272829-10010")
    verify_psa_token(token, keys=KEY, challenge=CHALLENGE, expected=NS, report=report)
    assert report.ok
    waived = {f.id for f in report.by_status(Status.WAIVED)}
    assert waived == {"attestation.dummy-boot-seed", "attestation.dummy-certification-reference"}
    assert report.unused_waivers() == [waivers[1]]


ALGORITHM_KEYS: dict[int, Any] = {
    -7: TEST_ONLY_P256, -35: TEST_ONLY_P384, -36: TEST_ONLY_P521,
    5: TEST_ONLY_HMAC, 6: TEST_ONLY_HMAC, 7: TEST_ONLY_HMAC,
}  # fmt: skip


@pytest.mark.parametrize("alg", ALGORITHM_KEYS)
def test_every_algorithm_of_the_allow_list(alg: int) -> None:
    private = ALGORITHM_KEYS[alg]
    key: Any = SymmetricKey(private) if isinstance(private, bytes) else PublicKey.from_handle(private.public_key())
    claims = enc(rfc_claims() | {256: next(iter(key.instance_ids))})
    token = message(claims, key=private, alg=alg)
    report, parsed = judge(token, keys=key)
    assert report.ok, report.failed
    assert parsed.key == key
    for at in (len(token) - 1, len(token) // 2, 8):
        changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        assert not judge(changed, keys=key)[0].ok
    for size in (-1, 1):
        signature = parsed.message.signature if parsed.message else b""
        wrong = signature[:-1] if size < 0 else signature + b"\x00"
        report, _ = judge(message(claims, key=private, alg=alg, signature=wrong), keys=key)
        assert "cose.signature-format" in broken(report)


def test_external_data_is_part_of_what_is_signed() -> None:
    from tfm_harness.verify.cose import verify_cose

    data = enc(["Signature1", PROTECTED, b"context", PAYLOAD])
    der = TEST_ONLY_P256.sign(data, ec.ECDSA(hashes.SHA256()))
    signature = b"".join(part.to_bytes(32, "big") for part in decode_dss_signature(der))
    bound = message(PAYLOAD, signature=signature)
    for aad, ok in ((b"context", True), (b"", False), (b"contexT", False)):
        report = Report()
        assert verify_cose(bound, keys=KEY, report=report, external_aad=aad).verified is ok
        assert report.ok is ok


@pytest.mark.parametrize(
    ("caller", "client", "holds"),
    [("non-secure", -1, True), ("non-secure", 0, False), ("non-secure", 1, False), ("secure", 1, True),
     ("secure", 0, False), ("secure", -1, False)],
)  # fmt: skip
def test_who_the_caller_is(caller: str, client: int, holds: bool) -> None:
    """RFC 9783 s.4.1.2: below zero for the non-secure side, above for a partition; zero for neither."""
    report = Report()
    token = message(enc(rfc_claims() | {2394: client}))
    verify_psa_token(token, keys=KEY, challenge=CHALLENGE, expected=TokenExpectations(caller=caller), report=report)
    assert ("attestation.client-id-caller" in {finding.id for finding in report.failed}) != holds


KINDS: dict[str, object] = {
    "byte string of 31 bytes": bytes(31),
    "byte string of 0 bytes": b"",
    "'text'": "text",
    "array of 2": [1, 2],
    "map of 1": {1: 1},
    "7": 7,
    "None": None,
}


@pytest.mark.parametrize(
    ("member", "name"), [(2, "measurement"), (5, "signer-id"), (1, "text"), (4, "text"), (6, "text")]
)
def test_what_is_wrong_with_a_component_is_said(member: int, name: str) -> None:
    """Which component, which member, and of what kind it is instead."""
    for words, value in KINDS.items():
        if name == "text" and isinstance(value, str):
            continue
        report, _ = judge(rfc(c2399=components(lambda c, value=value: c.update({member: value}))))  # type: ignore[misc]
        key = f" key {member}" if name == "text" else ""
        assert {finding.id: finding.seen for finding in report.failed} == {
            f"attestation.sw-{name}": f"component 0{key}: {words}"
        }
    if name != "text":
        report, _ = judge(rfc(c2399=components(lambda c: c.pop(member))))
        (finding,) = report.failed
        assert (finding.id, finding.seen.endswith("absent")) == (f"attestation.sw-{name}", True)
