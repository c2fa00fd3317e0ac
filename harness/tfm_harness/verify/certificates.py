"""Device certificates against the CA that issued them (RFC 5280)."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Collection
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tfm_harness.errors import ConfigError
from tfm_harness.findings import Report
from tfm_harness.verify import der as asn1
from tfm_harness.verify.checks import keys as check
from tfm_harness.verify.der import DerError, children, read_oid
from tfm_harness.verify.der_strict import check_der, check_signature_value, whole_octets
from tfm_harness.verify.judge import Judge
from tfm_harness.verify.keys import KeyFormatError, PublicKey

__all__ = ["verify_certificate"]

MAX_CERTIFICATE = 16384
"""Largest certificate in bytes."""
_UNREADABLE = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
_ECDSA = "1.2.840.10045.4."
"""The beginning of the algorithms' object identifiers (RFC 5758 s.3.2)."""
_T = TypeVar("_T", bound=x509.ExtensionType)


def verify_certificate(
    der: bytes,
    *,
    issuer: bytes,
    now: dt.datetime,
    expected_key: PublicKey | None = None,
    expected_subject: tuple[tuple[str, str], ...] | None = None,
    expected_cn: str | None = None,
    known_serials: Collection[int] = (),
    revoked: Collection[int] = (),
    client: bool = False,
    report: Report,
    subject: str = "",
) -> x509.Certificate | None:
    """Judge one certificate.

    Args:
        der: the certificate as received.
        issuer: the trusted CA's certificate, DER.
        now: when to judge validity, with a time zone.
        expected_key: the key of the request.
        expected_subject: short names and texts of the request's subject, as `CertificationRequest.subject`.
        expected_cn: the device's UUID as text.
        known_serials: serial numbers of certificates the CA issued before.
        revoked: serial numbers that are revoked.
        client: whether the certificate is for a TLS client.
        report: gets the findings.
        subject: named in findings.

    Returns:
        The certificate; None when it cannot be read.

    Raises:
        ConfigError: `issuer` is no certificate, or `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ConfigError("the time to judge validity at has no time zone", kind="naive-time")
    judge = Judge(report, subject)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd certificate gives a finding, not an exception
        ca = _load(issuer)
        if isinstance(ca, str):
            raise ConfigError(f"the CA certificate cannot be read: {ca}", kind="ca-certificate")
        certificate = _load(der)
        if isinstance(certificate, str):
            judge.failed(check.CERT_DER, expected="one DER X.509 v3 certificate", seen=certificate)
            judge.failed(check.CERT_CHAIN, expected="signed by the CA", seen="not verified: no certificate to judge")
            return None
        judge.passed(check.CERT_DER)
        _check_chain(certificate, ca, judge)
        _check_validity(certificate, ca, now, judge)
        _check_subject(certificate, expected_key, expected_subject, expected_cn, judge)
        serial = certificate.serial_number
        problem = "" if 0 < serial < 1 << 159 else f"{serial:#x}"
        if serial in known_serials or serial == ca.serial_number:
            problem = f"{serial:#x} was used before"
        judge.judge(check.CERT_SERIAL, not problem, expected="positive, 20 octets at most, new", seen=problem)
        judge.judge(check.CERT_REVOKED, serial not in revoked, expected="not revoked", seen=f"{serial:#x} is revoked")
        _check_extensions(certificate, ca, judge, client=client)
        return certificate


def _load(der: bytes) -> x509.Certificate | str:
    if len(der) > MAX_CERTIFICATE:
        return f"{len(der)} bytes, more than the limit of {MAX_CERTIFICATE}"
    try:
        _check_strict(der)
        certificate = x509.load_der_x509_certificate(der)
        if certificate.version is not x509.Version.v3:
            return f"version {certificate.version.name}"
        # The library parses these on first use: read them here, so that errors are raised here.
        _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key())
        _ = (certificate.serial_number, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except DerError as error:
        return f"{error.message} (byte {error.offset})"
    except _UNREADABLE as error:
        return (str(error).splitlines() or [type(error).__name__])[0][:200]
    return certificate


def _check_strict(der: bytes) -> None:
    """Refuse encodings that a general library accepts although they are not DER (RFC 5280 s.4.1).

    Raises:
        DerError: some of it is no DER, or a bit string that holds octets has bits that are not used.
    """
    parts = children(check_der(der, "the certificate").require(asn1.SEQUENCE, "the certificate"))
    if len(parts) != 3:
        raise DerError(0, f"{len(parts)} parts in place of content, algorithm and signature")
    content, algorithm, signature = parts
    value = whole_octets(signature, "the signature")
    names = children(algorithm.require(asn1.SEQUENCE, "the signature's algorithm"))
    if names and read_oid(names[0]).startswith(_ECDSA):
        check_signature_value(value, "the signature")
        if len(names) > 1:
            raise DerError(
                names[1].start,
                "a parameter behind an ECDSA signature algorithm, which has none (RFC 5758 s.3.2); some libraries write"
                " NULL there and read over it",
            )
    for part in children(content.require(asn1.SEQUENCE, "the certificate's content")):
        inside = children(part) if part.tag == asn1.SEQUENCE else []
        if len(inside) == 2 and inside[0].tag == asn1.SEQUENCE and inside[1].tag == asn1.BIT_STRING:
            whole_octets(inside[1], "the public key")


def _check_chain(certificate: x509.Certificate, ca: x509.Certificate, judge: Judge) -> None:
    problem = ""
    if certificate.issuer != ca.subject:
        problem = f"issuer {certificate.issuer.rfc4514_string()}"[:200]
    else:
        try:
            certificate.verify_directly_issued_by(ca)
        except InvalidSignature:
            problem = "the CA's signature does not verify"
        except (*_UNREADABLE,) as error:
            problem = f"the CA's signature cannot be checked: {error}"[:200]
    judge.judge(check.CERT_CHAIN, not problem, expected=ca.subject.rfc4514_string()[:200], seen=problem)
    problems = []
    constraints = _extension(ca, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        problems.append("basicConstraints without CA")
    usage = _extension(ca, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign:
        problems.append("keyUsage without keyCertSign")
    judge.judge(check.CERT_CA, not problems, expected="a CA certificate", seen=", ".join(problems))


def _check_validity(certificate: x509.Certificate, ca: x509.Certificate, now: dt.datetime, judge: Judge) -> None:
    problems = []
    for name, item in (("certificate", certificate), ("CA", ca)):
        if now < item.not_valid_before_utc:
            problems.append(f"the {name} is valid from {item.not_valid_before_utc.isoformat()}")
        if now > item.not_valid_after_utc:
            problems.append(f"the {name} expired at {item.not_valid_after_utc.isoformat()}")
    if certificate.not_valid_after_utc > ca.not_valid_after_utc:
        problems.append(f"it outlives its CA, which ends at {ca.not_valid_after_utc.isoformat()}")
    judge.judge(check.CERT_VALIDITY, not problems, expected=f"valid at {now.isoformat()}", seen="; ".join(problems))


def _check_subject(
    certificate: x509.Certificate,
    key: PublicKey | None,
    subject: tuple[tuple[str, str], ...] | None,
    cn: str | None,
    judge: Judge,
) -> None:
    if key is not None:
        handle = certificate.public_key()
        try:
            seen = PublicKey.from_handle(handle) if isinstance(handle, ec.EllipticCurvePublicKey) else None
        except KeyFormatError:
            seen = None
        judge.judge(check.CERT_KEY, seen == key, expected=key, seen=seen or type(handle).__name__)
    names = [(a.rfc4514_attribute_name, str(a.value)) for a in certificate.subject]
    problems = []
    if subject is not None and sorted(names) != sorted(subject):
        problems.append(f"{certificate.subject.rfc4514_string()}"[:200])
    common = [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if cn is not None and common != [cn]:
        problems.append(f"common name {', '.join(common) or 'absent'}"[:120])
    if subject is not None or cn is not None:
        wanted = ",".join(f"{name}={text}" for name, text in subject) if subject else f"CN={cn}"
        judge.judge(check.CERT_SUBJECT, not problems, expected=wanted, seen="; ".join(problems))


def _check_extensions(certificate: x509.Certificate, ca: x509.Certificate, judge: Judge, *, client: bool) -> None:
    constraints = _extension(certificate, x509.BasicConstraints)
    is_ca = constraints is not None and constraints.ca
    usage = _extension(certificate, x509.KeyUsage)
    signs = usage is not None and (usage.key_cert_sign or usage.crl_sign)
    judge.judge(
        check.CERT_NOT_CA, not is_ca and not signs, expected="no CA rights",
        seen="basicConstraints CA" if is_ca else "keyUsage keyCertSign or cRLSign",
    )  # fmt: skip
    problems = []
    if usage is None:
        problems.append("no keyUsage")
    elif not usage.digital_signature:
        problems.append("keyUsage without digitalSignature")
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    if client and (extended is None or ExtendedKeyUsageOID.CLIENT_AUTH not in extended):
        problems.append("no extendedKeyUsage clientAuth")
    known = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
    problems += [
        f"critical extension {e.oid.dotted_string} is not understood"
        for e in certificate.extensions
        if e.critical and not isinstance(e.value, known)
    ]
    authority = _extension(certificate, x509.AuthorityKeyIdentifier)
    own = _extension(ca, x509.SubjectKeyIdentifier)
    if authority and own and authority.key_identifier not in {None, own.digest}:
        problems.append("authorityKeyIdentifier names another CA key")
    judge.judge(check.CERT_USAGE, not problems, expected="digitalSignature, clientAuth", seen=", ".join(problems)[:300])


def _extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    """The extension of a kind (RFC 5280 s.4.2); None when absent."""
    for extension in certificate.extensions:
        if isinstance(extension.value, kind):
            return extension.value
    return None
