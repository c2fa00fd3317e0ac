"""Signing requests and certificates: each rule broken once."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Policy, Report
from tfm_harness.verify.certificates import verify_certificate
from tfm_harness.verify.csr import parse_csr, verify_csr
from tfm_harness.verify.der import DerError, children, read
from tfm_harness.verify.der_strict import check_der, check_signature_value

from tests.verify.verify_kit import (
    KEY,
    OTHER_KEY,
    TEST_ONLY_OTHER_P256,
    TEST_ONLY_P256,
    TEST_ONLY_P384,
    broken,
    held,
    not_held,
)

UUID = "7c1ea8d0-6d0f-8a35-9d0e-2b4c5b6a7988"
NAMES = (
    (NameOID.ORGANIZATION_NAME, "tfm-harness"),
    (NameOID.COMMON_NAME, UUID),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "TLS"),
)


def name(*pairs: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in pairs])


def request(private: Any = TEST_ONLY_P256, *, names: Any = NAMES, extensions: Any = (), digest: Any = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(*names))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(private, digest or hashes.SHA256()).public_bytes(serialization.Encoding.DER)


# --- DER by hand, for what no library makes -------------------------------------------------


def tlv(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(body).to_bytes(size, "big") + body


ECDSA_SHA256 = tlv(6, bytes.fromhex("2a8648ce3d040302"))
CN = tlv(6, bytes.fromhex("550403"))


def by_hand(
    *,
    version: bytes = tlv(2, b"\0"),
    subject: bytes | None = None,
    spki: bytes = KEY.spki,
    attributes: bytes = tlv(0xA0),
    algorithm: bytes = tlv(0x30, ECDSA_SHA256),
    private: ec.EllipticCurvePrivateKey = TEST_ONLY_P256,
    signature: bytes | None = None,
    tail: bytes = b"",
) -> bytes:
    """A request whose signature is right for whatever is in it."""
    cn = tlv(0x30, tlv(0x31, tlv(0x30, CN, tlv(0x0C, UUID.encode())))) if subject is None else subject
    info = tlv(0x30, version, cn, spki, attributes)
    value = private.sign(info, ec.ECDSA(hashes.SHA256())) if signature is None else signature
    return tlv(0x30, info, algorithm, tlv(3, b"\0" + value)) + tail


def subject(*values: bytes) -> bytes:
    return tlv(0x30, *(tlv(0x31, tlv(0x30, CN, value)) for value in values))


CN_UUID = tlv(0x31, tlv(0x30, CN, tlv(0x0C, UUID.encode())))
PARTS = (tlv(0x30, CN, tlv(0x0C, UUID.encode())), tlv(0x30, tlv(6, bytes.fromhex("55040b")), tlv(0x0C, b"TLS")))
WANTS = tlv(6, bytes.fromhex("2a864886f70d01090e"))
HARMLESS = tlv(0x30, tlv(6, bytes.fromhex("2a0304")), tlv(4, b"\5\0"))
NOT_CRITICAL = tlv(0x30, tlv(6, bytes.fromhex("2a0304")), tlv(1, b"\0"), tlv(4, b"\5\0"))
UNKNOWN_CRITICAL_01 = tlv(0x30, tlv(6, bytes.fromhex("2a0304")), tlv(1, b"\1"), tlv(4, b"\5\0"))


def asks(*extensions: bytes, values: int = 1) -> bytes:
    """The attributes of a request that asks for extensions."""
    return tlv(0xA0, tlv(0x30, WANTS, tlv(0x31, *values * [tlv(0x30, *extensions)])))


def judge(der: bytes, policy: Policy = Policy.VALIDATION, **expected: Any) -> Report:
    report = Report(policy=policy)
    defaults: dict[str, Any] = {"expected_key": KEY, "expected_cn": UUID}
    verify_csr(der, report=report, **defaults | expected)
    return report


@pytest.mark.parametrize(
    "der",
    [
        request(),
        by_hand(),
        by_hand(subject=tlv(0x30, tlv(0x31, *sorted(PARTS)))),
        by_hand(attributes=asks(HARMLESS)),
        request(extensions=[(x509.SubjectAlternativeName([x509.DNSName("a")]), False)]),
    ],
)
def test_a_right_request_passes(der: bytes) -> None:
    for policy in Policy:
        report = judge(der, policy)
        assert report.ok, report.failed
        assert {"csr.signature", "csr.key-expected", "csr.common-name"} <= held(report)


GOOD = request()
NULL_PARAMETERS = by_hand(algorithm=tlv(0x30, ECDSA_SHA256, b"\x05\x00"))
P384_SPKI = TEST_ONLY_P384.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "csr.der"),
    "cut": (request()[:-1], "csr.der"),
    "trailing": (request() + b"\0", "csr.der"),
    "huge": (bytes(20_000), "csr.der"),
    "BER length": (b"\x30\x80" + request()[3:], "csr.der"),
    "long length": (b"\x30\x83\x00" + request()[2:], "csr.der"),
    "high tag": (b"\x3f\x81\x00" + request(), "csr.der"),
    "a certificate's shape": (tlv(0x30, tlv(0x30), tlv(0x30)), "csr.der"),
    "no attributes field": (by_hand(attributes=b""), "csr.attributes"),
    "version with a byte too many": (by_hand(version=tlv(2, b"\0\0")), "csr.der"),
    "version without content": (by_hand(version=tlv(2)), "csr.der"),
    "an empty name part": (by_hand(subject=tlv(0x30, tlv(0x31), CN_UUID)), "csr.der"),
    "name parts out of order": (by_hand(subject=tlv(0x30, tlv(0x31, *sorted(PARTS, reverse=True)))), "csr.der"),
    "common name beyond PrintableString": (by_hand(subject=subject(tlv(0x13, b"a@b*"))), "csr.subject"),
    "common name beyond IA5String": (by_hand(subject=subject(tlv(0x16, "\u00e9".encode()))), "csr.subject"),
    "critical that is neither true nor false": (by_hand(attributes=asks(UNKNOWN_CRITICAL_01)), "csr.der"),
    "not critical, written out": (by_hand(attributes=asks(NOT_CRITICAL)), "csr.extensions"),
    "two lists of extensions": (by_hand(attributes=asks(HARMLESS, values=2)), "csr.extensions"),
    "extensions asked for twice": (by_hand(attributes=tlv(0xA0, *2 * [asks(HARMLESS)[2:]])), "csr.extensions"),
    "extensions without any value": (by_hand(attributes=tlv(0xA0, tlv(0x30, WANTS, tlv(0x31)))), "csr.der"),
    "v2": (by_hand(version=tlv(2, b"\1")), "csr.version"),
    "no common name": (request(names=NAMES[:1]), "csr.subject"),
    "two common names": (by_hand(subject=subject(tlv(0x0C, UUID.encode()), tlv(0x0C, b"x"))), "csr.subject"),
    "another common name": (request(names=[(NameOID.COMMON_NAME, "somebody")]), "csr.common-name"),
    "common name with NUL": (by_hand(subject=subject(tlv(0x0C, UUID.encode() + b"\0.evil"))), "csr.subject"),
    "common name of another type": (by_hand(subject=subject(tlv(0x1E, UUID.encode("utf-16-be")))), "csr.subject"),
    "another key": (request(TEST_ONLY_OTHER_P256), "csr.key-expected"),
    "another curve": (request(TEST_ONLY_P384), "csr.key"),
    "RSA": (request(rsa.generate_private_key(65537, 2048)), "csr.key"),
    "off curve": (by_hand(spki=KEY.spki[:-1] + bytes([KEY.spki[-1] ^ 1])), "csr.key"),
    "no proof of possession": (by_hand(private=TEST_ONLY_OTHER_P256), "csr.signature"),
    "signature empty": (by_hand(signature=b""), "csr.signature"),
    "SHA-512": (request(digest=hashes.SHA512()), "csr.signature-algorithm"),
    "NULL parameters": (NULL_PARAMETERS, "csr.signature-algorithm"),
    "RSA algorithm over an EC key": (
        by_hand(algorithm=tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d01010b")))),
        "csr.signature",
    ),
    "wants to be a CA": (
        request(extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)]),
        "csr.extensions",
    ),
    "wants to sign certificates": (
        request(
            extensions=[
                (
                    x509.KeyUsage(
                        **dict.fromkeys(
                            (
                                "digital_signature",
                                "content_commitment",
                                "key_encipherment",
                                "data_encipherment",
                                "key_agreement",
                                "crl_sign",
                                "encipher_only",
                                "decipher_only",
                            ),
                            False,
                        ),
                        key_cert_sign=True,
                    ),
                    True,
                )
            ]
        ),
        "csr.extensions",
    ),
    "unknown critical extension": (
        request(extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]),
        "csr.extensions",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_request_fails_by_its_check(case: str) -> None:
    der, expected = BROKEN[case]
    report = judge(der, Policy.PRODUCTION)
    assert not report.ok
    assert expected in broken(report)


def test_what_openssl_takes_and_strict_parsers_refuse_is_a_precise_finding() -> None:
    report = judge(NULL_PARAMETERS)
    assert broken(report) == {"csr.signature-algorithm"}
    assert "NULL" in report.failed[0].seen
    assert "RFC 5758" in report.failed[0].seen
    assert "csr.signature" in held(report)
    assert judge(NULL_PARAMETERS, Policy.DEV).ok


def test_other_attributes_are_noted_and_fail_production() -> None:
    challenge = tlv(0x30, tlv(6, bytes.fromhex("2a864886f70d010907")), tlv(0x31, tlv(0x0C, b"secret")))
    der = by_hand(attributes=tlv(0xA0, challenge))
    assert "csr.attributes" in not_held(judge(der))
    assert judge(der).ok
    assert broken(judge(der, Policy.PRODUCTION)) == {"csr.attributes"}


def test_the_organizational_unit() -> None:
    assert "csr.organizational-unit" in held(judge(request(), expected_ou="TLS"))
    assert "csr.organizational-unit" in not_held(judge(request(), expected_ou="COSE"))


def test_errors_name_the_offset() -> None:
    with pytest.raises(DerError) as caught:
        parse_csr(GOOD + b"\0")
    assert caught.value.offset == len(GOOD)


@given(st.data())
def test_no_changed_bit_passes_and_none_crashes(data: st.DataObject) -> None:
    der = GOOD
    at = data.draw(st.integers(0, len(der) - 1))
    changed = der[:at] + bytes([der[at] ^ 1 << data.draw(st.integers(0, 7))]) + der[at + 1 :]
    assert not judge(changed).ok


@given(st.binary(max_size=300))
def test_any_bytes_give_findings(data: bytes) -> None:
    for candidate in (
        data,
        request()[:10] + data,
        tlv(0x30, data),
        tlv(0x30, tlv(0x30, data), tlv(0x30), tlv(3, b"\0")),
    ):
        assert not judge(candidate).ok


# --- certificates ---------------------------------------------------------------------------

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
CA_KEY, CA_NAME = TEST_ONLY_OTHER_P256, name((NameOID.COMMON_NAME, "test only CA"))
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def usage(*granted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{flag: flag in granted for flag in USAGES})


def certificate(
    *,
    key: Any = None,
    issuer: x509.Name = CA_NAME,
    signer: Any = CA_KEY,
    names: Any = NAMES,
    start: int = -1,
    days: int = 10,
    serial: int = 77,
    extensions: Any = None,
    subject_name: x509.Name | None = None,
) -> bytes:
    if extensions is None:
        extensions = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name or name(*names))
        .issuer_name(issuer)
        .serial_number(serial)
        .public_key(key or KEY.handle)
        .not_valid_before(NOW + dt.timedelta(days=start))
        .not_valid_after(NOW + dt.timedelta(days=start + days))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def authority(**changes: Any) -> bytes:
    defaults: dict[str, Any] = {
        "key": CA_KEY.public_key(),
        "subject_name": CA_NAME,
        "days": 100,
        "serial": 1,
        "extensions": [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (usage("key_cert_sign", "crl_sign"), True),
            (x509.SubjectKeyIdentifier.from_public_key(CA_KEY.public_key()), False),
        ],
    }
    return certificate(**defaults | changes)


CA = authority()
SUBJECT = (("O", "tfm-harness"), ("CN", UUID), ("OU", "TLS"))


def judge_certificate(
    der: bytes, *, ca: bytes = CA, now: dt.datetime = NOW, policy: Policy = Policy.VALIDATION, **more: Any
) -> Report:
    report = Report(policy=policy)
    defaults: dict[str, Any] = {"expected_key": KEY, "expected_cn": UUID, "expected_subject": SUBJECT, "client": True}
    verify_certificate(der, issuer=ca, now=now, report=report, **defaults | more)
    return report


def test_a_right_certificate_passes() -> None:
    for policy in Policy:
        report = judge_certificate(certificate(), policy=policy)
        assert report.ok, report.failed
        assert held(report) == {
            f"certificate.{n}"
            for n in ("der", "chain", "ca", "validity", "key", "subject", "serial", "not-revoked", "not-ca", "usage")
        }


GOOD_CERTIFICATE = certificate()
PLAIN = [(x509.BasicConstraints(ca=False, path_length=None), True)]
BROKEN_CERTIFICATES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "certificate.der"),
    "cut": (certificate()[:-1], "certificate.der"),
    "trailing": (certificate() + b"\0", "certificate.der"),
    "huge": (bytes(20_000), "certificate.der"),
    "another signer": (certificate(signer=TEST_ONLY_P256), "certificate.chain"),
    "another issuer": (certificate(issuer=name((NameOID.COMMON_NAME, "other"))), "certificate.chain"),
    "bit flipped": (GOOD_CERTIFICATE[:-1] + bytes([GOOD_CERTIFICATE[-1] ^ 1]), "certificate.chain"),
    "expired": (certificate(start=-20), "certificate.validity"),
    "not yet valid": (certificate(start=1), "certificate.validity"),
    "outlives its CA": (certificate(days=500), "certificate.validity"),
    "another key": (certificate(key=OTHER_KEY.handle), "certificate.key"),
    "RSA key": (certificate(key=rsa.generate_private_key(65537, 2048).public_key()), "certificate.key"),
    "another name": (certificate(names=[(NameOID.COMMON_NAME, "somebody")]), "certificate.subject"),
    "name without unit": (certificate(names=NAMES[:2]), "certificate.subject"),
    "serial of the CA": (certificate(serial=1), "certificate.serial"),
    "serial seen before": (certificate(serial=5), "certificate.serial"),
    "revoked": (certificate(serial=6), "certificate.not-revoked"),
    "a CA": (certificate(extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)]), "certificate.not-ca"),
    "may sign certificates": (
        certificate(extensions=[*PLAIN, (usage("digital_signature", "key_cert_sign"), True)]),
        "certificate.not-ca",
    ),
    "no usage": (certificate(extensions=PLAIN), "certificate.usage"),
    "no digital signature": (certificate(extensions=[*PLAIN, (usage("key_agreement"), True)]), "certificate.usage"),
    "not for clients": (certificate(extensions=[*PLAIN, (usage("digital_signature"), True)]), "certificate.usage"),
    "unknown critical extension": (
        certificate(extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)]),
        "certificate.usage",
    ),
    "authority key of another CA": (
        certificate(extensions=[(x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.handle), False)]),
        "certificate.usage",
    ),
}


@pytest.mark.parametrize("case", BROKEN_CERTIFICATES)
def test_a_broken_certificate_fails_by_its_check(case: str) -> None:
    der, expected = BROKEN_CERTIFICATES[case]
    report = judge_certificate(der, policy=Policy.PRODUCTION, known_serials={5}, revoked={6})
    assert not report.ok
    assert expected in broken(report)


@pytest.mark.parametrize(
    "ca",
    [
        authority(extensions=[]),
        authority(extensions=[(x509.BasicConstraints(ca=False, path_length=None), True)]),
        authority(
            extensions=[(x509.BasicConstraints(ca=True, path_length=0), True), (usage("digital_signature"), True)]
        ),
    ],
)
def test_a_ca_that_is_none_is_found(ca: bytes) -> None:
    assert "certificate.ca" in broken(judge_certificate(certificate(), ca=ca))


def test_every_check_that_a_broken_one_fails_is_counted_where_it_holds() -> None:
    assert {check for _, check in BROKEN.values()} <= held(judge(GOOD))
    assert {check for _, check in BROKEN_CERTIFICATES.values()} <= held(judge_certificate(GOOD_CERTIFICATE))


def test_a_negative_serial_is_a_finding_and_no_warning() -> None:
    at = GOOD_CERTIFICATE.index(b"\x02\x01\x4d")
    negative = GOOD_CERTIFICATE[: at + 2] + b"\xcd" + GOOD_CERTIFICATE[at + 3 :]
    report = judge_certificate(negative)
    assert broken(report) & {"certificate.serial", "certificate.der"}
    assert "certificate.chain" in broken(report)


@pytest.mark.parametrize(("serial", "right"), [(0, False), (1, True), (2, True), (127, True), (2**159 - 1, True)])
def test_serials_are_positive_and_fit_20_octets(serial: int, *, right: bool) -> None:
    made = certificate(serial=max(serial, 1))
    if not serial:
        made = made.replace(b"\x02\x01\x01", b"\x02\x01\x00", 1)
    found = broken(judge_certificate(made, ca=authority(serial=99)))
    assert bool(found & {"certificate.serial", "certificate.der"}) != right


def test_an_expired_ca_is_found() -> None:
    late = NOW + dt.timedelta(days=200)
    assert "certificate.validity" in broken(judge_certificate(certificate(), now=late))


def test_a_certificate_holds_from_its_first_second_to_its_last() -> None:
    one = dt.timedelta(seconds=1)
    own = certificate(start=0)
    for now, right in ((NOW, True), (NOW - one, False), (NOW + 10 * DAY, True), (NOW + 10 * DAY + one, False)):
        assert ("certificate.validity" not in broken(judge_certificate(own, now=now))) == right, now
    ca = authority(start=-1, days=100)
    for now, right in ((NOW - DAY, True), (NOW - DAY - one, False)):
        assert ("certificate.validity" not in broken(judge_certificate(certificate(start=-1), ca=ca, now=now))) == right


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"expected_subject": None}, "CN=another"),
        ({"expected_cn": None, "expected_subject": (("O", "x"), ("CN", "y"))}, "O=x,CN=y"),
        ({"expected_subject": (("O", "x"), ("CN", "y"))}, "O=x,CN=y"),
    ],
)
def test_another_subject_than_the_expected_one_is_shown(more: dict[str, Any], wanted: str) -> None:
    report = judge_certificate(certificate(), **{"expected_cn": "another"} | more)
    (found,) = [finding for finding in report.failed if finding.id == "certificate.subject"]
    assert found.expected == wanted


@pytest.mark.parametrize("more", [{"expected_subject": None}, {"expected_cn": None}, {}])
def test_the_subject_is_judged_by_what_is_expected(more: dict[str, Any]) -> None:
    assert "certificate.subject" in held(judge_certificate(certificate(), **more))


def test_a_subject_of_which_nothing_is_expected_is_not_judged() -> None:
    report = judge_certificate(certificate(), expected_cn=None, expected_subject=None)
    assert report.ok
    assert "certificate.subject" not in held(report)


def test_what_is_no_certificate_is_signed_by_nobody() -> None:
    assert {"certificate.der", "certificate.chain"} <= broken(judge_certificate(b"no certificate"))


def test_wrong_use_is_a_config_error() -> None:
    for more in ({"ca": b"x"}, {"now": dt.datetime(2026, 6, 1)}):  # noqa: DTZ001 -- the mistake under test
        with pytest.raises(ConfigError):
            judge_certificate(certificate(), **more)


def flips(der: bytes, where: range) -> Iterator[tuple[int, int, bytes]]:
    changed = bytearray(der)
    for at in where:
        for bit in range(8):
            changed[at] ^= 1 << bit
            yield at, bit, bytes(changed)
            changed[at] ^= 1 << bit


def accepted(der: bytes, judge: Callable[[bytes], Report], where: range) -> list[tuple[int, int]]:
    return [(at, bit) for at, bit, changed in flips(der, where) if judge(changed).ok]


def not_signed(der: bytes) -> list[range]:
    """The octets that the signature does not cover: the outer head, the algorithm, the signature."""
    outer = read(der, 0, len(der))
    signed = children(outer)[0]
    return [range(signed.start), range(signed.end, len(der))]


def judge_own_request(der: bytes) -> Report:
    return judge(der, expected_key=KEY, expected_cn=UUID)


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.nightly) for n in range(1, 50))])
def test_no_changed_bit_outside_of_what_is_signed_passes(part: int) -> None:
    """Certificates and requests, each with a signature of its own: the lengths of its integers differ.

    200 of them every night, four of them in `make test`.
    """
    for number in range(2):
        made = certificate(serial=1000 + 2 * part + number)
        assert judge_certificate(made).ok
        asked = request()
        assert judge_own_request(asked).ok
        for where in not_signed(made):
            assert not accepted(made, judge_certificate, where)
        for where in not_signed(asked):
            assert not accepted(asked, judge_own_request, where)


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.nightly) for n in range(1, 4))])
def test_no_changed_bit_passes(part: int) -> None:
    """Every fourth byte, and the other three quarters at night."""
    made, asked = GOOD_CERTIFICATE, request()
    assert not accepted(made, judge_certificate, range(part, len(made), 4))
    assert not accepted(asked, judge_own_request, range(part, len(asked), 4))


UNUSED_BITS = [1, 7, 8, 0xFF]


@pytest.mark.parametrize("octet", UNUSED_BITS)
def test_unused_bits_in_a_signature_are_refused(octet: int) -> None:
    for der, judge_it in ((GOOD_CERTIFICATE, judge_certificate), (request(), judge_own_request)):
        at = children(read(der, 0, len(der)))[2].content_at
        changed = der[:at] + bytes([octet]) + der[at + 1 :]
        assert not judge_it(changed).ok


def test_unused_bits_in_a_public_key_are_refused() -> None:
    """Signed by the CA all the same: only the strict reading sees it."""
    made = certificate()
    info = children(children(read(made, 0, len(made)))[0])[6]
    bits = children(info)[1]
    at = bits.content_at
    content = children(read(made, 0, len(made)))[0]
    body = made[content.start : at] + b"\x01" + made[at + 1 : content.end]
    signature = CA_KEY.sign(body, ec.ECDSA(hashes.SHA256()))
    changed = tlv(0x30, body, tlv(0x30, ECDSA_SHA256), tlv(3, b"\0" + signature))
    assert "certificate.der" in broken(judge_certificate(changed))


@pytest.mark.parametrize(
    ("element", "words"),
    [
        (tlv(3, b"\x01\x01"), "unused bits are not zero"),
        (tlv(3, b"\x08\x00"), "right number"),
        (tlv(3, b""), "right number"),
        (tlv(3, b"\x01"), "right number"),
        (tlv(5, b"\x00"), "NULL with content"),
        (tlv(1, b"\x01"), "true is FF"),
        (tlv(2, b"\x00\x01"), "more bytes"),
        (tlv(0x17, b"2601010000Z"), "time"),
        (tlv(0x17, b"260101000000+0100"), "time"),
        (tlv(0x18, b"20260101000000.5Z"), "time"),
        (tlv(0x13, b"a*b"), "PrintableString"),
        (tlv(0x0C, b"\xff"), "UTF8String"),
        (tlv(0x23, tlv(3, b"\x00\x01")), "tag 0x23"),
        (tlv(0x24, tlv(4, b"x")), "tag 0x24"),
        (tlv(0x31, tlv(2, b"\x02"), tlv(2, b"\x01")), "ascending"),
        (b"\x04\x81\x01x", "more bytes than needed"),
        (b"\x30\x80\x00\x00", "indefinite"),
    ],
)
def test_what_is_ber_and_not_der(element: bytes, words: str) -> None:
    whole = tlv(0x30, tlv(0xA0, element))
    with pytest.raises(DerError, match=words):
        check_der(whole, "it")


@pytest.mark.parametrize(
    ("r", "s", "right"),
    [
        (1, 1, True),
        (1, 2**255, True),
        (2**256 - 1, 1, True),
        (0, 1, False),
        (1, 0, False),
        (-1, 1, False),
        (1, -128, False),
    ],
)
def test_a_signature_is_two_positive_integers(r: int, s: int, *, right: bool) -> None:
    def integer(number: int) -> bytes:
        return tlv(2, number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "big", signed=True))

    with contextlib.nullcontext() if right else pytest.raises(DerError, match=r"positive integers|INTEGER|negative"):
        check_signature_value(tlv(0x30, integer(r), integer(s)), "it")
    for numbers in ((), (r,), (r, s, 1)):
        with pytest.raises(DerError):
            check_signature_value(tlv(0x30, *map(integer, numbers)), "it")


@pytest.mark.parametrize("tag", [0x30, 0x31, 0xA0])
def test_a_structure_is_so_deep_and_no_deeper(tag: int) -> None:
    element = b"\x05\0"
    for _ in range(24):
        element = tlv(tag, element)
    check_der(element, "it")
    with pytest.raises(DerError, match="deeper"):
        check_der(tlv(tag, element), "it")


def test_a_structure_has_so_many_elements_and_no_more() -> None:
    check_der(tlv(0x30, *[b"\x05\0"] * 4095), "it")
    with pytest.raises(DerError, match="more elements"):
        check_der(tlv(0x30, *[b"\x05\0"] * 4096), "it")


@pytest.mark.parametrize("count", range(1, 127))
def test_a_length_has_up_to_four_bytes(count: int) -> None:
    """And as few as it needs: then an element of it would not fit here."""
    with pytest.raises(DerError, match="more than four bytes" if count > 4 else "an element of"):
        read(bytes([0x30, 0x80 | count, 0xFF]) + bytes(count - 1), 0, count + 2)
