"""COSE_Encrypt0 (RFC 9052 s.5.2) with AES-GCM (RFC 9053 s.4.1), strictly: encrypted results and stored objects.

No part of a message is trusted before its tag verifies. If the tag does not verify, no plaintext is returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tfm_harness.findings import Report
from tfm_harness.verify import cbor
from tfm_harness.verify.checks import encryption as check
from tfm_harness.verify.checks import envelope
from tfm_harness.verify.cose_headers import check_buckets
from tfm_harness.verify.cose_message import EnvelopeError, byte_string, header_map, unprotected_map
from tfm_harness.verify.judge import Judge

__all__ = ["ENCRYPT0", "GCM", "EncryptedMessage", "decrypt_cose", "enc_structure", "parse_encrypted"]

ENCRYPT0: Final = 16
"""CBOR tag of COSE_Encrypt0."""
GCM: Final = {1: ("A128GCM", 16), 2: ("A192GCM", 24), 3: ("A256GCM", 32)}
"""Names and sizes of keys in bytes, by COSE number (RFC 9053 s.4.1)."""
_TAG_SIZE = 16
_NONCE_SIZE = 12


@dataclass(frozen=True, slots=True)
class EncryptedMessage:
    """The parts of one message; nothing is verified yet.

    Attributes:
        protected_raw: the protected header's bytes, as authenticated.
        protected, unprotected: the two header buckets.
        ciphertext: the ciphertext, followed by the tag.
        oddities: legal but unusual encodings.
        size: bytes of the whole message.
    """

    protected_raw: bytes
    protected: dict[int | str | bytes, cbor.CborValue]
    unprotected: dict[int | str | bytes, cbor.CborValue]
    ciphertext: bytes = field(repr=False)
    oddities: tuple[cbor.Oddity, ...]
    size: int

    @property
    def nonce(self) -> bytes | None:
        """The IV, from the one bucket that has it; None when there is none or it is not 12 bytes long."""
        found = [bucket[5] for bucket in (self.protected, self.unprotected) if 5 in bucket]
        if len(found) != 1 or not isinstance(found[0], bytes) or len(found[0]) != _NONCE_SIZE:
            return None
        return found[0]


def parse_encrypted(data: bytes, *, max_size: int = cbor.MAX_SIZE, rest: bool = False) -> EncryptedMessage:
    """Split a tagged COSE_Encrypt0.

    Args:
        data: the message.
        max_size: largest message in bytes.
        rest: whether bytes may follow the message (a sector of flash).

    Raises:
        CborError: the encoding is refused.
        EnvelopeError: it is CBOR, but no such message.
    """
    if len(data) > max_size:
        raise cbor.CborError("limits", 0, f"{len(data)} bytes, more than the limit of {max_size}")
    data = bytes(data)
    end = len(data)
    odd: list[cbor.Oddity] = []
    major, tag, pos = cbor.read_head(data, 0, end, odd)
    if major != 6 or tag != ENCRYPT0:
        seen = f"tag {tag}" if major == 6 else f"untagged {cbor.type_names[major]}"
        raise EnvelopeError(check.STRUCTURE, expected=f"tag {ENCRYPT0}", seen=seen, offset=0)
    at = pos
    major, count, pos = cbor.read_head(data, pos, end, odd)
    if major != 4 or count != 3:
        seen = f"array of {count}" if major == 4 else cbor.type_names[major]
        raise EnvelopeError(check.STRUCTURE, expected="array of 3", seen=seen, offset=at)
    start, pos = byte_string(data, pos, end, odd, "the protected header", broken=check.STRUCTURE)
    protected_raw = data[start:pos]
    protected = header_map(data, start, pos, odd, broken=check.STRUCTURE) if protected_raw else {}
    unprotected, pos = unprotected_map(data, pos, end, odd, broken=check.STRUCTURE)
    start, pos = byte_string(data, pos, end, odd, "the ciphertext", broken=check.STRUCTURE)
    if pos != end and not rest:
        raise cbor.CborError("trailing", pos, f"{end - pos} byte(s) after the end of the COSE message")
    return EncryptedMessage(protected_raw, protected, unprotected, data[start:pos], tuple(odd), pos)


def enc_structure(message: EncryptedMessage, external_aad: bytes = b"") -> bytes:
    """The Enc_structure (RFC 9052 s.5.3): the data that AES-GCM authenticates in addition to the ciphertext."""
    raw = message.protected_raw if message.protected else b""
    return b"".join((b"\x83\x68Encrypt0", cbor.head(2, len(raw)), raw, cbor.head(2, len(external_aad)), external_aad))


def decrypt_cose(
    data: bytes,
    *,
    key: bytes,
    report: Report,
    external_aad: bytes = b"",
    subject: str = "",
    max_size: int = cbor.MAX_SIZE,
    rest: bool = False,
) -> tuple[EncryptedMessage | None, bytes | None]:
    """Judge and decrypt one message.

    Args:
        data: the whole tagged message.
        key: 16, 24 or 32 bytes; the algorithm must be the one of that size.
        report: gets the findings.
        external_aad: externally supplied data (RFC 9052 s.4.3).
        subject: named in findings.
        max_size: largest message in bytes.
        rest: whether bytes may follow the message.

    Returns:
        The message (None when the bytes are no such message), and its plaintext (None unless it is authentic).
    """
    judge = Judge(report, subject)
    try:
        message = parse_encrypted(data, max_size=max_size, rest=rest)
    except cbor.CborError as error:
        judge.failed(envelope.BY_RULE[error.rule], seen=error.message, where=f"byte {error.offset}")
        judge.failed(check.AUTHENTIC, expected="a message", seen="it could not be read")
        return None, None
    except EnvelopeError as error:
        judge.failed(error.check, expected=error.expected or "", seen=error.seen or "", where=f"byte {error.offset}")
        judge.failed(check.AUTHENTIC, expected="a message", seen="it could not be read")
        return None, None
    judge.passed(check.STRUCTURE)
    check_buckets(message.protected, message.unprotected, judge)
    fits = _judge_algorithm(message, key, judge)
    nonce = message.nonce
    seen = f"protected {sorted(map(repr, message.protected))}, unprotected {sorted(map(repr, message.unprotected))}"
    judge.judge(check.NONCE, nonce is not None, expected="IV (5) of 12 bytes, once", seen=seen[:200])
    if not fits or nonce is None or len(message.ciphertext) < _TAG_SIZE:
        judge.failed(check.AUTHENTIC, expected="a tag that verifies", seen="not tried: header or length is wrong")
        return message, None
    try:
        plaintext = AESGCM(key).decrypt(nonce, message.ciphertext, enc_structure(message, external_aad))
    except InvalidTag:
        judge.failed(check.AUTHENTIC, expected="a tag that verifies", seen="it does not verify")
        return message, None
    judge.passed(check.AUTHENTIC)
    return message, plaintext


def _judge_algorithm(message: EncryptedMessage, key: bytes, judge: Judge) -> bool:
    number = message.protected.get(1)
    named = GCM.get(number) if type(number) is int else None
    wanted = " or ".join(f"{name} ({n})" for n, (name, size) in GCM.items() if size == len(key))
    where = " unprotected" if number is None and 1 in message.unprotected else ""
    said = message.unprotected.get(1) if where else number
    return judge.judge(
        check.ALGORITHM,
        named is not None and named[1] == len(key),
        expected=f"{wanted or 'AES-GCM with a key of 16, 24 or 32 bytes'}, protected",
        seen=f"{said!r}{where}"[:80],
    )
