"""Time stamps of a bundle (RFC 3161): a third party confirms that its statements were signed before a certain time.

The stamp covers the file of statements, signatures included. The authority's answer is beside that file as
``NAME.DIGEST.tsr``. The authority does not sign all parts of an answer (RFC 5652 s.5.4), so the file's name has its
digest: any changed byte is noticed. Pure; `tfm_harness.evidence.tsa` talks to an authority.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Final

from cryptography import x509

from tfm_harness.errors import ConfigError
from tfm_harness.evidence.checks import TIMESTAMP
from tfm_harness.evidence.statements import CLOCKS_DIFFER
from tfm_harness.findings import Report

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

__all__ = [
    "MAX_ANSWER",
    "Stamp",
    "check_stamp",
    "load_authorities",
    "make_query",
    "read_stamp",
    "stamp_name",
]

MAX_ANSWER: Final = 1 << 16
"""The most bytes of an answer; real ones have 1 to 8 kB."""
_NAME_DIGITS: Final = 32
_GRANTED: Final = 0


@dataclass(frozen=True, slots=True)
class Stamp:
    """A verified time stamp.

    Attributes:
        time: when the authority saw the statements, RFC 3339, UTC.
        authority: the subject of the certificate that signed it.
    """

    time: str
    authority: str


def make_query(data: bytes) -> tuple[bytes, int]:
    """A request for a stamp over SHA-256 of `data` (RFC 3161 s.2.4.1), DER, and its nonce.

    Raises:
        ConfigError: kind ``evidence-extra``.
    """
    client = _library()
    request = client.TimestampRequestBuilder().data(data).hash_algorithm(client.HashAlgorithm.SHA256).build()
    nonce = request.nonce
    assert nonce is not None  # noqa: S101 - the builder always adds one
    return request.as_bytes(), nonce


def read_stamp(answer: bytes, data: bytes, *, nonce: int | None = None) -> TimeStampResponse:
    """Parse an authority's answer that stamps `data`; its signature is not verified yet.

    Args:
        answer: DER (RFC 3161 s.2.4.2).
        data: the bytes that the stamp must cover.
        nonce: the request's nonce; None: another program made the request.

    Raises:
        ConfigError: kind ``evidence-timestamp``: refused, damaged, or a stamp of something else.
    """
    client = _library()
    if len(answer) > MAX_ANSWER:
        raise _no_stamp(f"more than {MAX_ANSWER} bytes")
    try:
        response: TimeStampResponse = client.decode_timestamp_response(answer)
        if response.status != _GRANTED:
            raise _no_stamp(f"refused with status {response.status}: {' '.join(response.status_string)}")
        if response.as_bytes() != answer:
            raise _no_stamp("it is not encoded in DER")
        info = response.tst_info
        algorithm, imprint = info.message_imprint.hash_algorithm.dotted_string, info.message_imprint.message
        seen = info.nonce
    except ValueError as error:
        raise _no_stamp(f"{type(error).__name__}: {error}") from None
    wanted = {
        "2.16.840.1.101.3.4.2.1": hashlib.sha256,
        "2.16.840.1.101.3.4.2.2": hashlib.sha384,
        "2.16.840.1.101.3.4.2.3": hashlib.sha512,
    }.get(algorithm)
    if wanted is None:
        raise _no_stamp(f"a digest of another kind: {algorithm}")
    if wanted(data).digest() != imprint:
        raise _no_stamp("it stamps something else")
    if nonce is not None and seen != nonce:
        raise _no_stamp("it answers another request")
    return response


def check_stamp(
    answer: bytes,
    data: bytes,
    authorities: Sequence[x509.Certificate],
    report: Report,
    where: str,
    *,
    made: dt.datetime | None = None,
) -> Stamp | None:
    """Verify a stamp: signature, chain to an authority at the stamped time, key usage, stamped bytes, and its time.

    Args:
        answer: as stored.
        data: the file of statements.
        authorities: root certificates that are trusted; without any, only the rest is checked and None is returned.
        report: gets the finding.
        where: the stamp's file.
        made: the time in the statements at which they were made: no stamp of them may be older.

    Raises:
        ConfigError: kind ``evidence-extra``: the package that reads stamps is not installed.
    """
    library = _library()
    expected = "a stamp of the statements" + (" by a given authority" if authorities else "")
    try:
        response = read_stamp(answer, data)
        if authorities:
            library.VerifierBuilder(roots=list(authorities)).build().verify_message(response, data)
    except ConfigError as error:
        report.add(TIMESTAMP, False, expected=expected, seen=error.seen or error.message, where=where)
        return None
    except library.VerificationError as error:
        report.add(TIMESTAMP, False, expected=expected, seen=str(error), where=where)
        return None
    time = response.tst_info.gen_time.strftime("%Y-%m-%dT%H:%M:%SZ")
    late = made is not None and response.tst_info.gen_time < made - CLOCKS_DIFFER
    seen = f"stamped at {time}, before the statements say that they were made ({made})" if late else ""
    report.add(TIMESTAMP, not late, expected=expected, seen=seen, where=where)
    return Stamp(time, _signer(response)) if authorities and not late else None


def stamp_name(statements: str, answer: bytes) -> str:
    """The name of the stamp's file, from that of the statements.

    Args:
        statements: ``NAME.intoto.jsonl``.
        answer: the bytes of the file.
    """
    digest = hashlib.sha256(answer).hexdigest()[:_NAME_DIGITS]
    return f"{PurePath(statements).name.removesuffix('.intoto.jsonl')}.{digest}.tsr"


def load_authorities(pem: bytes, where: str) -> Sequence[x509.Certificate]:
    """Certificates of trusted roots.

    Raises:
        ConfigError: kind ``evidence-authority``.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(
            "no certificate of a time-stamping authority", kind="evidence-authority", expected="PEM",
            seen=str(error), where=where,
        ) from None  # fmt: skip
    return found


def _signer(response: TimeStampResponse) -> str:
    """The subject of the certificate that the signature names; the verifier has found it already."""
    (info,) = response.signed_data.signer_infos
    for der in response.signed_data.certificates:
        certificate = x509.load_der_x509_certificate(der)
        if (certificate.issuer, certificate.serial_number) == (info.issuer, info.serial_number):
            return certificate.subject.rfc4514_string()
    return ""


def _no_stamp(seen: str) -> ConfigError:
    return ConfigError(
        "this is no time stamp of the bundle's statements", kind="evidence-timestamp",
        expected="a granted answer (RFC 3161 s.2.4.2) over the statements as they are now", seen=seen,
    )  # fmt: skip


def _library() -> ModuleType:
    try:
        import rfc3161_client
    except ImportError:
        raise ConfigError(
            "time stamps need the package rfc3161-client", kind="evidence-extra",
            hint="install tfm-harness with its extra: pip install 'tfm-harness[evidence]'",
        ) from None  # fmt: skip
    return rfc3161_client
