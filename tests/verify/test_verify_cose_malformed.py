"""62 kinds of malformed or unusual COSE_Sign1 messages: which are refused, by which check."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tfm_harness.findings import Policy, Report
from tfm_harness.verify.algorithms import P256
from tfm_harness.verify.cose import verify_cose
from tfm_harness.verify.keys import PublicKey

from tests.verify.verify_kit import (
    KEY,
    TEST_ONLY_HMAC,
    TEST_ONLY_P256,
    TEST_ONLY_P384,
    Pairs,
    Raw,
    Tagged,
    broken,
    enc,
    message,
    signature_for,
)

PAYLOAD = b"This is the content."
GOOD = message(PAYLOAD)
PROTECTED = enc({1: -7})
SIGNATURE = signature_for(PROTECTED, PAYLOAD, TEST_ONLY_P256, -7)
P384_KEY = PublicKey.from_handle(TEST_ONLY_P384.public_key())


def raw(*, head: bytes = b"\xd2\x84", protected: bytes | None = None, unprotected: bytes = b"\xa0",
        payload: bytes | None = None, signature: bytes | None = None, tail: bytes = b"") -> bytes:  # fmt: skip
    """A message by its encoded parts."""
    return b"".join((
        head, enc(PROTECTED) if protected is None else protected, unprotected,
        enc(PAYLOAD) if payload is None else payload, enc(SIGNATURE) if signature is None else signature, tail,
    ))  # fmt: skip


def signed(protected: object, **kwargs: object) -> bytes:
    """A message whose signature is right for an odd protected header."""
    blob = protected.data if isinstance(protected, Raw) else enc(protected)
    return message(PAYLOAD, protected=Raw(blob), signature=signature_for(blob, PAYLOAD, TEST_ONLY_P256, -7), **kwargs)  # type: ignore[arg-type]


def halves() -> tuple[int, int]:
    return int.from_bytes(SIGNATURE[:32], "big"), int.from_bytes(SIGNATURE[32:], "big")


def p384_with_sha256() -> bytes:
    """ES256 in the header, a P-384 key, SHA-256: what RFC 9053 leaves open and RFC 9864 closes."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    der = TEST_ONLY_P384.sign(enc(["Signature1", PROTECTED, b"", PAYLOAD]), ec.ECDSA(hashes.SHA256()))
    return message(PAYLOAD, signature=b"".join(p.to_bytes(48, "big") for p in decode_dss_signature(der)))


def ed25519_signed() -> bytes:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
    blob = enc({1: -8})
    return message(PAYLOAD, protected=Raw(blob), signature=key.sign(enc(["Signature1", blob, b"", PAYLOAD])))


R, S = halves()
DER = TEST_ONLY_P256.sign(enc(["Signature1", PROTECTED, b"", PAYLOAD]), ec.ECDSA(hashes.SHA256()))
NAN = Raw(b"\xf9\x7e\x00")

ACCEPTED = {
    "good": GOOD,
    "good_kid_unprot": message(PAYLOAD, unprotected={4: b"11"}),
    "nonminimal_tag": raw(head=b"\xd8\x12\x84"),
    "nonminimal_len_payload": raw(payload=b"\x59" + len(PAYLOAD).to_bytes(2, "big") + PAYLOAD),
    "nonminimal_alg_in_phdr": signed(Raw(b"\xa1\x01\x38\x06")),
    "sig_malleated_n_minus_s": raw(signature=enc(SIGNATURE[:32] + (P256.order - S).to_bytes(32, "big"))),
}

REFUSED = {
    "trailing_byte": (GOOD + b"\x00", "cbor.trailing"),
    "trailing_second_msg": (GOOD + GOOD, "cbor.trailing"),
    "dup_key_protected": (signed(Pairs(((1, -7), (1, -7)))), "cbor.unique-keys"),
    "dup_key_protected_diff": (signed(Pairs(((1, -7), (1, -35)))), "cbor.unique-keys"),
    "dup_key_unprotected": (message(PAYLOAD, unprotected=Pairs(((4, b"a"), (4, b"b")))), "cbor.unique-keys"),
    "indef_array": (raw(head=b"\xd2\x9f", tail=b"\xff"), "cbor.definite"),
    "indef_payload_bstr": (raw(payload=b"\x5f" + enc(PAYLOAD) + b"\xff"), "cbor.definite"),
    "indef_protected_map": (signed(Raw(b"\xbf\x01\x26\xff")), "cbor.definite"),
    "alg_only_unprotected": (signed(Raw(b""), unprotected={1: -7}), "cose.algorithm-protected"),
    "alg_only_unprot_p_is_A0": (signed({}, unprotected={1: -7}), "cose.algorithm-protected"),
    "alg_both_same": (message(PAYLOAD, unprotected={1: -7}), "cose.label-once"),
    "alg_unprot_conflict": (message(PAYLOAD, unprotected={1: -35}), "cose.label-once"),
    "no_alg": (signed({3: 0}), "cose.algorithm-protected"),
    "alg_eddsa_key_p256": (signed({1: -8}), "cose.algorithm-allowed"),
    "alg_es256_key_ed": (ed25519_signed(), "cose.algorithm-allowed"),
    "alg_es256_key_p384_sha256": (p384_with_sha256(), "cose.algorithm-key"),
    "alg_es384_key_p256": (message(PAYLOAD, alg=-35), "cose.algorithm-key"),
    "alg_es256k_key_p256": (signed({1: -47}), "cose.algorithm-allowed"),
    "alg_hs256_in_sign1": (message(PAYLOAD, key=TEST_ONLY_HMAC, alg=5, tag=18), "cose.algorithm-allowed"),
    "alg_esp256_-9": (signed({1: -9}), "cose.algorithm-allowed"),
    "alg_tstr_ES256": (signed({1: "ES256"}), "cose.algorithm-allowed"),
    "crit_unknown": (signed({1: -7, 2: [-70000], -70000: 1}), "cose.crit"),
    "crit_in_unprotected": (message(PAYLOAD, unprotected={2: [1]}), "cose.crit"),
    "crit_empty": (signed({1: -7, 2: []}), "cose.crit"),
    "sig_der": (raw(signature=enc(DER)), "cose.signature-format"),
    "sig_65bytes_trailing0": (raw(signature=enc(SIGNATURE + b"\x00")), "cose.signature-format"),
    "sig_66bytes_zero_padded": (
        raw(signature=enc(b"\x00" + SIGNATURE[:32] + b"\x00" + SIGNATURE[32:])), "cose.signature-format"),
    "sig_r_plus_n": (
        raw(signature=enc(((R + P256.order) % (1 << 256)).to_bytes(32, "big") + SIGNATURE[32:])), "cose.signature"),
    "sig_s_is_n": (raw(signature=enc(SIGNATURE[:32] + P256.order.to_bytes(32, "big"))), "cose.signature-format"),
    "sig_zero": (raw(signature=enc(bytes(64))), "cose.signature-format"),
    "sig_empty": (raw(signature=b"\x40"), "cose.signature-format"),
    "sig_null": (raw(signature=b"\xf6"), "cose.structure"),
    "payload_nil": (raw(payload=b"\xf6"), "cose.payload-attached"),
    "payload_tstr": (raw(payload=enc(PAYLOAD.decode())), "cose.structure"),
    "array3": (raw(head=b"\xd2\x83", signature=b""), "cose.structure"),
    "array5": (raw(head=b"\xd2\x85", tail=b"\x00"), "cose.structure"),
    "untagged": (raw(head=b"\x84"), "cose.tag"),
    "tag97": (raw(head=b"\xd8\x61\x84"), "cose.tag"),
    "tag61_wrap": (b"\xd8\x3d" + GOOD, "cose.tag"),
    "double_tag18": (b"\xd2" + GOOD, "cose.tag"),
    "phdr_is_map_not_bstr": (raw(protected=PROTECTED), "cose.structure"),
    "phdr_trailing": (signed(Raw(PROTECTED + b"\x00")), "cbor.trailing"),
    "phdr_tagged24": (raw(protected=b"\xd8\x18" + enc(PROTECTED)), "cose.structure"),
    "huge_bstr_len": (raw(payload=b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"), "cbor.well-formed"),
    "huge_array_len": (b"\xd2\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "cose.structure"),
    "huge_map_len": (raw(unprotected=b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff"), "cbor.well-formed"),
    "nest_100k_arrays": (raw(unprotected=b"\xa1\x18\x63" + b"\x81" * 100_000 + b"\x00"), "cbor.limits"),
    "nest_40_arrays": (raw(unprotected=b"\xa1\x18\x63" + b"\x81" * 40 + b"\x00"), "cbor.limits"),
    "nest_100k_tags": (b"\xd2" * 100_000 + GOOD, "cbor.limits"),
    "nest_50_tags": (b"\xd2" * 50 + GOOD, "cose.tag"),
    "bignum_key_tag2": (message(PAYLOAD, unprotected=Pairs(((Tagged(2, b"\x04"), b"11"),))), "cbor.tags"),
    "sharedref_tag28_29": (message(PAYLOAD, unprotected={99: [Tagged(28, [1]), Tagged(29, 0)]}), "cbor.tags"),
    "stringref_tag25": (message(PAYLOAD, unprotected={99: Tagged(256, [b"abcd", Tagged(25, 0)])}), "cbor.tags"),
    "regex_tag35": (message(PAYLOAD, unprotected={99: Tagged(35, "(a+)+$")}), "cbor.tags"),
    "datetime_tag0_bad": (message(PAYLOAD, unprotected={99: Tagged(0, "not a date")}), "cbor.tags"),
    "tagged_protected_value": (signed({1: -7, 99: Tagged(0, "2026")}), "cbor.tags"),
    "nan_key": (message(PAYLOAD, unprotected=Pairs(((NAN, 1), (NAN, 2)))), "cbor.map-keys"),
    "dup_int_float_key": (message(PAYLOAD, unprotected=Pairs(((4, b"a"), (4.0, b"b")))), "cbor.map-keys"),
    "dup_true_1_key": (message(PAYLOAD, unprotected=Pairs(((True, b"a"), (99, b"b")))), "cbor.map-keys"),
    "invalid_utf8_key": (message(PAYLOAD, unprotected=Pairs(((Raw(b"\x62\xff\xfe"), 1),))), "cbor.well-formed"),
    "bytes_label": (message(PAYLOAD, unprotected={b"\x04": b"11"}), "cose.header-labels"),
    "kid_is_text": (message(PAYLOAD, unprotected={4: "11"}), "cose.header-values"),
    "iv_is_text": (message(PAYLOAD, unprotected={5: "1"}), "cose.header-values"),
    "partial_iv_is_text": (message(PAYLOAD, unprotected={6: "2"}), "cose.header-values"),
    "iv_and_partial_iv": (message(PAYLOAD, unprotected={5: b"1", 6: b"2"}), "cose.header-values"),
    "alg_true": (signed({1: True}), "cose.algorithm-allowed"),
    "sig_all_ones": (raw(signature=enc(b"\xff" * 64)), "cose.signature-format"),
    "truncated": (GOOD[:-1], "cbor.well-formed"),
    "empty": (b"", "cbor.well-formed"),
    "reserved_info": (b"\xd2\x84\x5c", "cbor.well-formed"),
    "break_code": (b"\xd2\x84\xff", "cbor.well-formed"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("policy", Policy)
def test_legitimate_variants_are_accepted(name: str, policy: Policy) -> None:
    report = Report(policy=policy)
    outcome = verify_cose(ACCEPTED[name], keys=KEY, report=report)
    assert report.ok, report.failed
    assert outcome.verified
    assert outcome.message is not None
    assert outcome.message.payload == PAYLOAD


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("policy", Policy)
def test_malformed_messages_are_refused_by_their_check(name: str, policy: Policy) -> None:
    data, expected = REFUSED[name]
    key = P384_KEY if name == "alg_es256_key_p384_sha256" else KEY
    report = Report(policy=policy)
    outcome = verify_cose(data, keys=key, report=report)
    assert not report.ok
    assert expected in broken(report)
    if expected not in {"cose.label-once", "cose.crit", "cose.header-labels", "cose.header-values"}:
        assert not outcome.verified
        assert "cose.signature" in broken(report), "what was not verified must say so"


def test_the_whole_collection_is_here() -> None:
    assert len(ACCEPTED) + len(REFUSED) >= 62
