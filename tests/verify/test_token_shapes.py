"""A token like one that was judged before gets the verdict of the careful way: no verdict goes over to other bytes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tfm_harness.findings import Finding, Policy, Report
from tfm_harness.verify import cose as cose_module
from tfm_harness.verify import token as token_module
from tfm_harness.verify import token_shapes
from tfm_harness.verify.algorithms import ALGORITHMS, Algorithm
from tfm_harness.verify.cbor import CborValue
from tfm_harness.verify.claims import DUMMY_BOOT_SEED
from tfm_harness.verify.components import ExpectedComponent
from tfm_harness.verify.cose import Refused, check_signature, parse, to_be_signed
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import KeyRing, PublicKey, SymmetricKey, VerificationKey
from tfm_harness.verify.token import PsaToken, TokenExpectations, judge_token, verify_psa_token
from tfm_harness.verify.token_shapes import TokenShapes

from tests.examples import few
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
    Raw,
    broken,
    cca_claims,
    enc,
    legacy_claims,
    message,
    p1_claims,
    rfc_claims,
)

MANY = settings(max_examples=few(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
ES256 = ALGORITHMS[-7]
BOTH = KeyRing([KEY, OTHER_KEY])
IMAGES = tuple(
    ExpectedComponent(type=str(c[1]), measurement=bytes(c[2]), signer_ids=frozenset({bytes(c[5])}))  # type: ignore[call-overload]  # of the kit
    for c in COMPONENTS
)
OTHER_IMAGES = (dataclasses.replace(IMAGES[0], measurement=bytes(32)), *IMAGES[1:])
RINGS = {
    "the board's key": KeyRing([KEY]),
    "another board's key": KeyRing([OTHER_KEY]),
    "both": BOTH,
    "a shared secret as well": KeyRing([SymmetricKey(TEST_ONLY_HMAC), KEY]),
}
EXPECTED = {
    "nothing": None,
    "a caller": TokenExpectations(caller="non-secure"),
    "the images": TokenExpectations(components=IMAGES, implementation_id=IMPLEMENTATION_ID),
    "other images": TokenExpectations(components=OTHER_IMAGES),
    "no images": TokenExpectations(components=()),
    "the boot": TokenExpectations(boot_seed=BOOT_SEED),
    "another boot": TokenExpectations(boot_seed=bytes(32)),
    "the board": TokenExpectations(instance_id=frozenset(KEY.instance_ids)),
    "another board": TokenExpectations(instance_id=OTHER_KEY.instance_id),
    "another profile": TokenExpectations(profiles=frozenset({"http://arm.com/psa/2.0.0"})),
    "a small buffer": TokenExpectations(max_size=100),
    "other keys": TokenExpectations(other_keys={"the result key": OTHER_KEY}, lifecycle=frozenset({0x3000})),
}
CHALLENGES = {"the challenge": CHALLENGE, "another challenge": bytes(32), "none": None}


def without(claims: dict[object, object], *labels: int) -> dict[object, object]:
    return {label: value for label, value in claims.items() if label not in labels}


FORMS: dict[str, dict[object, object]] = {
    "RFC 9783": rfc_claims(),
    "RFC 9783 without a boot seed": without(rfc_claims(), 268),
    "RFC 9783, mandatory claims": without(rfc_claims(), 268, 2398, 2400),
    "RFC 9783, deterministic": dict(sorted(rfc_claims().items(), key=lambda pair: enc(pair[0]))),
    "PSA 2.0.0": legacy_claims(),
    "PSA_IOT_PROFILE_1": p1_claims(),
    "CCA": cca_claims(),
    "an unknown claim": {**rfc_claims(), 77: {1: [b"nested"]}},
}
TOKENS = {name: message(enc(claims)) for name, claims in FORMS.items()}
HEADERS = {
    "content type": message(enc(rfc_claims()), protected={1: -7, 3: 0}),
    "content type, unprotected": message(enc(rfc_claims()), unprotected={3: 0}),
    "key id": message(enc(rfc_claims()), unprotected={4: KEY.thumbprint}),
    "a longer head than needed": message(enc(rfc_claims()), protected=Raw(b"\xa1\x18\x01\x26")),
    "a longer head in the claims": message(enc({**rfc_claims(), 2394: Raw(b"\x38\x00")})),
}
"""The same token with other headers and heads."""
Verdict = tuple[PsaToken, list[object], list[Finding]]


@pytest.fixture(autouse=True)
def shapes(monkeypatch: pytest.MonkeyPatch) -> TokenShapes:
    """Shapes of the test's own: what other tests judged is not known."""
    own = TokenShapes()
    monkeypatch.setattr(token_module, "_SHAPES", own)
    return own


def plain(token: bytes, *, ring: KeyRing, challenge: bytes | None, expected: TokenExpectations | None) -> Verdict:
    """The careful way."""
    report = Report()
    wanted = expected or token_module._NOTHING_KNOWN
    parsed = judge_token(token, ring, challenge, wanted, Judge(report))
    return parsed, list(parsed.claims.items()), report.findings


def quick(token: bytes, *, ring: KeyRing, challenge: bytes | None, expected: TokenExpectations | None) -> Verdict:
    report = Report()
    parsed = verify_psa_token(token, keys=ring, challenge=challenge, expected=expected, report=report)
    return parsed, list(parsed.claims.items()), report.findings


def remembered(shapes: TokenShapes) -> int:
    return len(shapes._young) + len(shapes._old)


def judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the careful way is closed."""

    def closed(*_: object, **__: object) -> PsaToken:
        raise AssertionError("judged the careful way")

    monkeypatch.setattr(token_module, "judge_token", closed)


def like(form: str, number: int, **changes: Any) -> tuple[bytes, bytes]:
    """A token of that form of another boot with another challenge, and its challenge."""
    claims, nonce = dict(FORMS[form]), hashlib.sha256(b"nonce %d" % number).digest()
    p1 = form == "PSA_IOT_PROFILE_1"
    claims[-75008 if p1 else 10] = nonce
    seed = next((label for label in (268, 2397, -75004) if label in claims), None)
    if seed is not None:
        claims[seed] = hashlib.sha256(b"boot %d" % number).digest()
    claims |= {int(label.removeprefix("c")): value for label, value in changes.items()}
    return message(enc(claims)), nonce


@pytest.mark.parametrize("form", [name for name in FORMS if name != "CCA"])
@pytest.mark.parametrize("expected", ["nothing", "a caller", "the images", "the board", "other keys"])
def test_a_token_of_another_boot_is_known(form: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = EXPECTED[expected]
    quick(TOKENS[form], ring=BOTH, challenge=CHALLENGE, expected=wanted)
    for number in range(3):
        token, nonce = like(form, number)
        careful = plain(token, ring=BOTH, challenge=nonce, expected=wanted)
        with monkeypatch.context() as patch:
            judged_at_once(patch)
            assert quick(token, ring=BOTH, challenge=nonce, expected=wanted) == careful


def test_a_token_of_another_board_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=None)
    other = message(enc(rfc_claims(OTHER_KEY)), key=TEST_ONLY_OTHER_P256)
    careful = plain(other, ring=BOTH, challenge=CHALLENGE, expected=None)
    judged_at_once(monkeypatch)
    found = quick(other, ring=BOTH, challenge=CHALLENGE, expected=None)
    assert found == careful
    assert found[0].key == OTHER_KEY


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("form", FORMS)
def test_other_boots_and_boards_get_the_verdict_of_the_careful_way(form: str, name: str) -> None:
    circumstances: dict[str, Any] = {"ring": BOTH, "expected": EXPECTED[name]}
    point = b"\x01" + hashlib.sha256(KEY.point).digest()
    changes: dict[str, Any] = {"the same": {}, "the older name of the key": {"c256": point}, "a dummy seed": {}}
    changes["a dummy seed"] = {"c268": DUMMY_BOOT_SEED} if 268 in FORMS[form] else {}
    quick(TOKENS[form], challenge=CHALLENGE, **circumstances)
    for change in changes.values():
        for number in range(2):
            token, nonce = like(form, number, **change)
            for _ in range(2):
                assert quick(token, challenge=nonce, **circumstances) == plain(token, challenge=nonce, **circumstances)
    other = message(enc({**FORMS[form], 256: OTHER_KEY.instance_id}), key=TEST_ONLY_OTHER_P256)
    assert quick(other, challenge=CHALLENGE, **circumstances) == plain(other, challenge=CHALLENGE, **circumstances)


@pytest.mark.parametrize("name", HEADERS)
def test_headers_stay_as_they_are(name: str) -> None:
    given_: dict[str, Any] = {"ring": BOTH, "challenge": CHALLENGE, "expected": None}
    careful = plain(HEADERS[name], **given_)
    for _ in range(3):
        assert quick(HEADERS[name], **given_) == careful


def test_a_shape_counts_where_its_parts_are(shapes: TokenShapes) -> None:
    """The same bytes around parts in other places are another token."""
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=None)
    length = len(TOKENS["RFC 9783"])
    assert shapes._find(TOKENS["RFC 9783"], True, token_module._NOTHING_KNOWN) is not None
    shapes._places[length] = dataclasses.replace(shapes._places[length], nonce=slice(0, 32))
    assert shapes._find(TOKENS["RFC 9783"], True, token_module._NOTHING_KNOWN) is None


@st.composite
def changed_tokens(draw: st.DrawFn) -> bytes:
    """A token with bytes changed: in the message, or in what is then signed."""
    form = draw(st.sampled_from(sorted(TOKENS)))
    whole = draw(st.booleans())
    payload = enc(FORMS[form])
    data = bytearray(TOKENS[form] if whole else payload)
    places = st.integers(0, len(data) - 1)
    if not whole and draw(st.booleans()):  # where the careful way is not needed as a rule
        contents = [v for v in FORMS[form].values() if isinstance(v, bytes)]
        content = draw(st.sampled_from(contents))
        start = payload.index(content)
        places = st.integers(start, start + len(content) - 1)
    for at, bits in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=3)):
        data[at] ^= bits
    if draw(st.integers(0, 9)) == 0:
        del data[draw(st.integers(1, len(data) - 1)) :]
    if whole:
        return bytes(data)
    key = draw(st.sampled_from([TEST_ONLY_P256, TEST_ONLY_P256, TEST_ONLY_OTHER_P256]))
    return message(bytes(data), key=key)


@pytest.mark.examples
@MANY
@given(
    tokens=st.lists(changed_tokens(), min_size=1, max_size=4),
    ring=st.sampled_from(sorted(RINGS)),
    expected=st.sampled_from(sorted(EXPECTED)),
    challenge=st.sampled_from(sorted(CHALLENGES)),
)
@example(tokens=list(TOKENS.values()), ring="both", expected="the images", challenge="the challenge")
def test_changed_tokens_get_the_verdict_of_the_careful_way(
    tokens: list[bytes], ring: str, expected: str, challenge: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_module, "_SHAPES", WARM)
        for token in tokens:
            given_: dict[str, Any] = {
                "ring": RINGS[ring], "expected": EXPECTED[expected], "challenge": CHALLENGES[challenge],
            }  # fmt: skip
            assert quick(token, **given_) == plain(token, **given_)


def warm() -> TokenShapes:
    """What is known after every form was judged in all circumstances."""
    known = TokenShapes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_module, "_SHAPES", known)
        for _ in range(2):
            for expected in EXPECTED.values():
                for challenge in CHALLENGES.values():
                    for token in TOKENS.values():
                        quick(token, ring=BOTH, challenge=challenge, expected=expected)
    return known


WARM = warm()


def test_the_known_tokens_that_others_are_compared_with_are_many() -> None:
    assert remembered(WARM) >= 20


def test_every_bit_of_a_signed_token_counts(shapes: TokenShapes) -> None:
    """Each bit of the message changed, and each bit of the payload changed and signed again."""
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=EXPECTED["the images"])
    assert remembered(shapes) == 1
    given_: dict[str, Any] = {"ring": BOTH, "challenge": CHALLENGE, "expected": EXPECTED["the images"]}
    payload = enc(FORMS["RFC 9783"])
    for original, signed in ((TOKENS["RFC 9783"], False), (payload, True)):
        for at in range(len(original)):
            changed = original[:at] + bytes([original[at] ^ 1 << at % 8]) + original[at + 1 :]
            token = message(changed) if signed else changed
            assert quick(token, **given_) == plain(token, **given_), (at, signed)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "signature of another message": (
        TOKENS["RFC 9783"][:-64] + like("RFC 9783", 1)[0][-64:], "cose.signature",
    ),
    "signature of zeros": (TOKENS["RFC 9783"][:-64] + bytes(64), "cose.signature"),
    "another board's name": (
        message(enc({**rfc_claims(), 256: OTHER_KEY.instance_id})), "cose.signature",
    ),
    "nobody's name": (message(enc({**rfc_claims(), 256: b"\x01" + bytes(32)})), "cose.key-found"),
    "a name of another type": (message(enc({**rfc_claims(), 256: b"\x02" + KEY.instance_id[1:]})), "cose.key-found"),
    "another nonce": (message(enc({**rfc_claims(), 10: bytes(32)})), "attestation.nonce-challenge"),
    "another measurement": (
        message(enc({**rfc_claims(), 2399: [{**COMPONENTS[0], 2: bytes(32)}, COMPONENTS[1]]})),
        "attestation.component-measurement",
    ),
    "another lifecycle": (message(enc({**rfc_claims(), 2395: 0x7000})), "attestation.lifecycle-range"),
    "another caller": (message(enc({**rfc_claims(), 2394: 0})), "attestation.client-id-range"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_must_not_pass_for_a_known_token_does_not(name: str, shapes: TokenShapes) -> None:
    token, which = HOSTILE[name]
    report = Report()
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=EXPECTED["the images"])
    assert remembered(shapes) == 1
    parsed = verify_psa_token(
        token, keys=BOTH, challenge=CHALLENGE, expected=EXPECTED["the images"], report=report
    )  # fmt: skip
    assert which in broken(report), broken(report)
    assert parsed.verified == (not which.startswith("cose."))
    assert remembered(shapes) == 1


def test_the_dummy_boot_seed_is_found_in_a_known_token(shapes: TokenShapes) -> None:
    report = Report(policy=Policy.PRODUCTION)
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=None)
    token = message(enc({**rfc_claims(), 268: DUMMY_BOOT_SEED}))
    verify_psa_token(token, keys=BOTH, challenge=CHALLENGE, report=report)
    assert "attestation.dummy-boot-seed" in broken(report)
    assert remembered(shapes) == 1


def test_the_same_bytes_under_another_key_are_not_verified() -> None:
    assert quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=None)[0].verified
    report = Report()
    parsed = verify_psa_token(TOKENS["RFC 9783"], keys=OTHER_KEY, challenge=CHALLENGE, report=report)
    assert not parsed.verified
    assert "cose.signature" in broken(report)


def test_a_published_key_is_found_behind_a_known_token() -> None:
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=None)
    same = PublicKey.from_handle(TEST_ONLY_P256.public_key())
    same.__dict__["published_as"] = "a repository"
    report = Report(policy=Policy.PRODUCTION)
    verify_psa_token(TOKENS["RFC 9783"], keys=same, challenge=CHALLENGE, report=report)
    assert "attestation.dummy-key" in broken(report)


@pytest.mark.parametrize("change", ["signature", "claim"])
def test_a_signature_that_does_not_hold_is_tried_once(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the board's key once; the keys of others are tried as ever, and the verdict is the careful one."""
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=None)
    other = message(enc({**rfc_claims(), 268: bytes(range(32))}))
    signed = message(enc({**rfc_claims(), 268: bytes(range(1, 33))}))
    bad = signed[:-64] + other[-64:] if change == "claim" else signed[:-1] + bytes([signed[-1] ^ 1])
    tried: list[VerificationKey] = []
    verifies = cose_module.verifies

    def counted(key: VerificationKey, structure: bytes, signature: bytes, algorithm: Algorithm) -> bool:
        tried.append(key)
        return verifies(key, structure, signature, algorithm)

    monkeypatch.setattr(cose_module, "verifies", counted)
    found = quick(bad, ring=BOTH, challenge=CHALLENGE, expected=None)
    assert [key for key in tried if key in BOTH] == [KEY]
    assert found == plain(bad, ring=BOTH, challenge=CHALLENGE, expected=None)
    assert not found[0].verified
    assert quick(signed, ring=BOTH, challenge=CHALLENGE, expected=None)[0].verified


def test_a_key_that_was_refused_is_passed_over_for_nothing_else() -> None:
    """Another signature, other bytes or another key are tried."""
    token = TOKENS["RFC 9783"]
    parsed = parse(token)
    structure = to_be_signed(parsed)
    judge = Judge(Report())
    right = Refused(KEY, structure, parsed.signature, ES256)
    assert check_signature(parsed, ES256, BOTH, judge, refused=right) is None
    for other in (
        right._replace(key=OTHER_KEY), right._replace(structure=structure[:-1]), right._replace(signature=bytes(64)),
    ):  # fmt: skip
        assert check_signature(parsed, ES256, BOTH, judge, refused=other) == KEY


def test_the_same_components_with_other_expectations_fail() -> None:
    token = TOKENS["RFC 9783"]
    for _ in range(2):
        for expected, wanted in (("the images", set()), ("other images", {"attestation.component-measurement"})):
            report = Report()
            verify_psa_token(token, keys=KEY, challenge=CHALLENGE, expected=EXPECTED[expected], report=report)
            assert broken(report) == wanted


def test_each_report_keeps_its_own_policy() -> None:
    for policy, held in ((Policy.DEV, True), (Policy.PRODUCTION, False), (Policy.DEV, True)):
        report = Report(policy=policy)
        verify_psa_token(TOKENS["RFC 9783"], keys=KEY, report=report)  # no challenge
        assert report.ok is held


def test_a_challenge_that_was_not_given_is_not_taken_for_one() -> None:
    token = TOKENS["RFC 9783"]
    for challenge, which in ((CHALLENGE, None), (None, "attestation.challenge-given"), (CHALLENGE, None)):
        findings = quick(token, ring=BOTH, challenge=challenge, expected=None)[2]
        missing = [finding.id for finding in findings if not finding.passed and finding.seen == "none given"]
        assert missing == [i for i in (which, "attestation.components-given") if i]


def test_expectations_that_can_change_are_not_remembered(shapes: TokenShapes) -> None:
    images: Any = list(IMAGES)
    profiles: Any = {"tag:psacertified.org,2023:psa#tfm"}
    signers: Any = set(IMAGES[0].signer_ids)
    for expected in (
        TokenExpectations(components=images),
        TokenExpectations(profiles=profiles),
        TokenExpectations(components=(dataclasses.replace(IMAGES[0], signer_ids=signers), IMAGES[1])),
    ):
        assert quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=expected)[0].verified
    assert not remembered(shapes)
    expected = TokenExpectations(components=images)
    quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=expected)
    images[0] = OTHER_IMAGES[0]
    findings = quick(TOKENS["RFC 9783"], ring=BOTH, challenge=CHALLENGE, expected=expected)[2]
    assert "attestation.component-measurement" in {finding.id for finding in findings if not finding.passed}


def test_what_is_given_out_is_the_callers_own() -> None:
    given_: dict[str, Any] = {"ring": BOTH, "challenge": CHALLENGE, "expected": None}
    careful = plain(TOKENS["RFC 9783"], **given_)
    for _ in range(3):
        token, _, findings = quick(TOKENS["RFC 9783"], **given_)
        claims: Any = token.claims
        claims[2399][0][2] = b"changed"
        claims[2399].append("changed")
        claims[9] = "changed"
        assert token.message is not None
        token.message.protected[4] = b"changed"
        findings.clear()
    assert quick(TOKENS["RFC 9783"], **given_) == careful
    assert parse(TOKENS["RFC 9783"]) == careful[0].message


def test_findings_of_a_subject_name_it_and_are_not_remembered(shapes: TokenShapes) -> None:
    report = Report()
    for name in ("first", "second"):
        verify_psa_token(TOKENS["RFC 9783"], keys=KEY, challenge=CHALLENGE, report=report, subject=name)
    assert [finding.subject for finding in report] == ["first"] * 53 + ["second"] * 53
    assert not remembered(shapes)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_does_not_hold_is_not_remembered(name: str, shapes: TokenShapes) -> None:
    quick(HOSTILE[name][0], ring=BOTH, challenge=CHALLENGE, expected=EXPECTED["the images"])
    assert not remembered(shapes)


def test_a_part_that_stands_twice_in_a_token_is_not_looked_for(shapes: TokenShapes) -> None:
    token = message(enc({**rfc_claims(), 268: CHALLENGE}))
    assert quick(token, ring=BOTH, challenge=CHALLENGE, expected=None)[0].verified
    assert not remembered(shapes)


def test_what_is_kept_is_bounded(shapes: TokenShapes) -> None:
    for number in range(400):
        component = {**COMPONENTS[0], 1: "S" * (number % 200), 4: str(number)}
        token = message(enc({**rfc_claims(), 2399: [component]}))
        quick(token, ring=BOTH, challenge=CHALLENGE, expected=None)
        shapes._credit = 9  # as if others were known
    assert 0 < remembered(shapes) <= token_shapes._MOST
    assert len(shapes._places) <= token_shapes._MOST_LENGTHS
    long = message(enc({**rfc_claims(), 2400: "x" * token_shapes._LONGEST}))
    before = remembered(shapes)
    quick(long, ring=BOTH, challenge=CHALLENGE, expected=None)
    assert remembered(shapes) == before


def test_tokens_that_share_nothing_are_remembered_ever_less(shapes: TokenShapes) -> None:
    tokens = [message(enc({**rfc_claims(), 2396: hashlib.sha256(b"%d" % n).digest()})) for n in range(200)]
    for token in tokens:
        quick(token, ring=BOTH, challenge=CHALLENGE, expected=None)
    assert remembered(shapes) < 80


def test_parts_in_other_places_are_learned_in_time(shapes: TokenShapes, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (TOKENS[form] for form in ("RFC 9783", "RFC 9783, deterministic"))
    assert len(one) == len(other)
    given_: dict[str, Any] = {"ring": BOTH, "challenge": CHALLENGE, "expected": None}
    quick(one, **given_)
    for _ in range(token_shapes._PATIENCE):
        assert quick(other, **given_) == plain(other, **given_)
    judged_at_once(monkeypatch)
    quick(other, **given_)
    with pytest.raises(AssertionError, match="careful way"):
        quick(one, **given_)


def test_claims_that_are_given_share_nothing_with_those_that_are_kept() -> None:
    value: CborValue = [{1: [2, {3: [b"x"]}], 4: {5: 6}}, [[7], {8: 9}], b"text", None]
    copied = token_shapes._copied(value)
    assert copied == value

    def parts(of: object) -> Iterator[int]:
        if isinstance(of, list | dict):
            yield id(of)
            for part in of.values() if isinstance(of, dict) else of:
                yield from parts(part)

    assert len(list(parts(value))) == 9
    assert not set(parts(copied)) & set(parts(value))
