"""COSE_Sign1 and COSE_Mac0 (RFC 9052), strictly: the envelope of tokens and results.

The steps are apart because a PSA token's key is found by a claim inside the payload
(RFC 9783 s.5.1.3): `parse` splits the message, `check_headers` judges the headers and gives
the algorithm, `check_signature` verifies. `verify_cose` does all three.

The algorithm comes from the protected header only, must be allow-listed and must belong to
the key's curve. Signature bytes identify nothing: (r, n-s) verifies wherever (r, s) does.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from harness.errors import DeviceFault
from harness.findings import Check, Report
from harness.verify import cbor
from harness.verify.algorithms import ALGORITHMS, Algorithm, describe
from harness.verify.checks import envelope as check
from harness.verify.judge import Judge
from harness.verify.keys import KeyRing, PublicKey, SymmetricKey, VerificationKey, as_ring

__all__ = [
    "MAC0",
    "SIGN1",
    "CoseMessage",
    "EnvelopeError",
    "VerifiedMessage",
    "check_headers",
    "check_signature",
    "parse",
    "record_parse",
    "to_be_signed",
    "verify_cose",
]

SIGN1 = 18
"""CBOR tag of COSE_Sign1."""
MAC0 = 17
"""CBOR tag of COSE_Mac0."""

_TAG_NAMES = {16: "COSE_Encrypt0", 61: "CWT", 96: "COSE_Encrypt", 97: "COSE_Mac", 98: "COSE_Sign", 399: "CCA token"}
_UNDERSTOOD = frozenset({1, 3, 4})
"""Header labels that may be named in crit: algorithm, content type, key id."""
_ECDSA = {number: ec.ECDSA(a.hash) for number, a in ALGORITHMS.items() if not a.is_mac}
_STRUCTURAL = (
    check.WELL_FORMED, check.DEFINITE, check.UNIQUE_KEYS, check.MAP_KEYS, check.TAGS, check.TRAILING, check.LIMITS,
    check.TAG, check.STRUCTURE, check.ATTACHED,
)  # fmt: skip

_USUAL = (check.PREFERRED, check.MAP_ORDER)
_HEADER_RULES = (check.HEADER_LABELS, check.LABEL_ONCE, check.HEADER_VALUES, check.CRIT)


class EnvelopeError(DeviceFault):
    """Bytes that are no COSE message this verifier takes; `check` says which rule broke."""

    def __init__(self, broken: Check, *, expected: str, seen: str, offset: int) -> None:
        super().__init__(
            f"{broken.title}: {seen}", kind=broken.id, expected=expected, seen=seen, where=f"byte {offset}"
        )
        self.check = broken
        self.offset = offset


@dataclass(frozen=True, slots=True)
class CoseMessage:
    """The parts of one message; nothing is verified yet.

    Attributes:
        tag: 18 or 17.
        protected_raw: the protected header's bytes, as signed.
        protected, unprotected: the two header buckets.
        payload: the payload's bytes.
        payload_at: its offset in the message, so that errors inside it have absolute offsets.
        signature: the signature's or tag's bytes.
        oddities: legal but unusual encodings of the envelope.
        raw: the whole message.
    """

    tag: int
    protected_raw: bytes
    protected: dict[int | str | bytes, cbor.CborValue]
    unprotected: dict[int | str | bytes, cbor.CborValue]
    payload: bytes
    payload_at: int
    signature: bytes
    oddities: tuple[cbor.Oddity, ...]
    raw: bytes = field(repr=False)

    @property
    def kid(self) -> bytes | None:
        """The key id of either bucket (a hint, not a claim: RFC 9052 s.3.1)."""
        kid = self.protected.get(4, self.unprotected.get(4))
        return kid if isinstance(kid, bytes) else None


@dataclass(frozen=True, slots=True)
class VerifiedMessage:
    """Outcome of `verify_cose`: `key` is None unless the signature verified with it."""

    message: CoseMessage | None
    algorithm: Algorithm | None
    key: VerificationKey | None

    @property
    def verified(self) -> bool:
        """Whether a trusted key verified the signature."""
        return self.key is not None


def parse(data: bytes, *, max_size: int = cbor.MAX_SIZE) -> CoseMessage:
    """Split a tagged COSE_Sign1 or COSE_Mac0 message.

    Raises:
        CborError: the encoding is refused.
        EnvelopeError: it is CBOR, but no such message.
    """
    if len(data) > max_size:
        raise cbor.CborError("limits", 0, f"{len(data)} bytes, more than the limit of {max_size}")
    end = len(data)
    odd: list[cbor.Oddity] = []
    major, tag, pos = cbor.read_head(data, 0, end, odd)
    if major != 6:
        raise EnvelopeError(check.TAG, expected="tag 18 or 17", seen=f"untagged {cbor.type_names[major]}", offset=0)
    if tag not in {SIGN1, MAC0}:
        seen = f"tag {tag}" + (f" ({_TAG_NAMES[tag]})" if tag in _TAG_NAMES else "")
        raise EnvelopeError(check.TAG, expected="tag 18 or 17", seen=seen, offset=0)
    at = pos
    major, count, pos = cbor.read_head(data, pos, end, odd)
    if major == 6:
        raise EnvelopeError(check.TAG, expected=f"an array after tag {tag}", seen=f"a second tag {count}", offset=at)
    if major != 4 or count != 4:
        seen = f"array of {count}" if major == 4 else cbor.type_names[major]
        raise EnvelopeError(check.STRUCTURE, expected="array of 4", seen=seen, offset=at)
    start, pos = _bstr(data, pos, end, odd, "the protected header")
    protected_raw = data[start:pos]
    protected = _header_map(data, start, pos, odd) if protected_raw else {}
    at = pos
    if pos < end and data[pos] >> 5 not in {5, 6}:
        seen = cbor.type_names[data[pos] >> 5]
        raise EnvelopeError(check.STRUCTURE, expected="a map as unprotected header", seen=seen, offset=at)
    unprotected, pos = cbor.decode_item(data, pos, end, odd)
    if not isinstance(unprotected, dict):  # pragma: no cover -- the head said map, or the decoder raised
        raise EnvelopeError(check.STRUCTURE, expected="a map", seen="another type", offset=at)
    if pos < end and data[pos] == 0xF6:
        raise EnvelopeError(check.ATTACHED, expected="a payload", seen="nil (detached payload)", offset=pos)
    payload_at, pos = _bstr(data, pos, end, odd, "the payload")
    payload = data[payload_at:pos]
    start, pos = _bstr(data, pos, end, odd, "the signature or tag")
    if pos != end:
        raise cbor.CborError("trailing", pos, f"{end - pos} byte(s) after the end of the COSE message")
    return CoseMessage(
        tag, protected_raw, protected, unprotected, payload, payload_at, data[start:pos], tuple(odd), data
    )


def _bstr(data: bytes, pos: int, end: int, odd: list[cbor.Oddity], what: str) -> tuple[int, int]:
    """Start and end of a byte string's content."""
    at = pos
    major, length, pos = cbor.read_head(data, pos, end, odd)
    if major != 2:
        seen = "null" if data[at] == 0xF6 else cbor.type_names[major]
        raise EnvelopeError(check.STRUCTURE, expected=f"a byte string as {what}", seen=seen, offset=at)
    if length > end - pos:
        raise cbor.CborError("well-formed", at, f"{what} of {length} bytes, {end - pos} left")
    return pos, pos + length


def _header_map(data: bytes, start: int, end: int, odd: list[cbor.Oddity]) -> dict[int | str | bytes, cbor.CborValue]:
    if data[start] >> 5 not in {5, 6}:
        seen = cbor.type_names[data[start] >> 5]
        raise EnvelopeError(check.STRUCTURE, expected="a map in the protected header", seen=seen, offset=start)
    decoded = cbor.decode_range(data, start, end)
    odd.extend(decoded.oddities)
    if not isinstance(decoded.value, dict):  # pragma: no cover -- the head said map, or the decoder raised
        raise EnvelopeError(check.STRUCTURE, expected="a map", seen="another type", offset=start)
    return decoded.value


def record_parse(data: bytes, judge: Judge, *, max_size: int = cbor.MAX_SIZE) -> CoseMessage | None:
    """`parse`, with the outcome as findings; None when there is no message to judge."""
    try:
        message = parse(data, max_size=max_size)
    except cbor.CborError as error:
        judge.failed(check.BY_RULE[error.rule], seen=error.message, where=f"byte {error.offset}")
    except EnvelopeError as error:
        judge.failed(error.check, expected=error.expected or "", seen=error.seen or "", where=f"byte {error.offset}")
    else:
        judge.passed_all(_STRUCTURAL)
        return message
    not_verified(judge, "the message could not be read")
    return None


def record_oddities(oddities: tuple[cbor.Oddity, ...], judge: Judge) -> None:
    """Report legal but unusual encodings, one finding for each kind."""
    if not oddities:
        judge.passed_all(_USUAL)
        return
    offsets: dict[str, list[int]] = {}
    for oddity in oddities:
        offsets.setdefault(oddity.kind, []).append(oddity.offset)
    for broken in (check.PREFERRED, check.MAP_ORDER):
        where = offsets.get(broken.id.removeprefix("cbor."))
        if where:
            shown = ", ".join(map(str, sorted(where)[:8])) + (", ..." if len(where) > 8 else "")
            judge.failed(broken, seen=f"{len(where)} place(s)", where=f"byte {shown}")
        else:
            judge.passed(broken)


def not_verified(judge: Judge, why: str) -> None:
    """Record that no signature was verified: whatever else holds, this is no evidence."""
    judge.failed(check.SIGNATURE, expected="a signature that verifies", seen=f"not verified: {why}")


def check_headers(
    message: CoseMessage, judge: Judge, *, algorithms: frozenset[int] = frozenset(ALGORITHMS)
) -> Algorithm | None:
    """Judge both header buckets; the algorithm to verify with, or None."""
    protected, unprotected = message.protected, message.unprotected
    if not unprotected and len(protected) == 1 and type(protected.get(1)) is int:
        judge.passed_all(_HEADER_RULES)  # nothing but an algorithm: no rule can be broken
    else:
        _check_buckets(protected, unprotected, judge)
    if 1 not in protected:
        seen = f"{describe(unprotected[1])} unprotected" if 1 in unprotected else "none"
        judge.failed(check.ALG_PROTECTED, expected="alg (1) in the protected header", seen=seen)
        return None
    judge.passed(check.ALG_PROTECTED)
    number = protected[1]
    algorithm = ALGORITHMS.get(number) if type(number) is int and number in algorithms else None
    if algorithm is None or algorithm.is_mac != (message.tag == MAC0):
        allowed = [a.name for n, a in ALGORITHMS.items() if n in algorithms and a.is_mac == (message.tag == MAC0)]
        kind = "COSE_Mac0" if message.tag == MAC0 else "COSE_Sign1"
        judge.failed(check.ALG_ALLOWED, expected=f"{' or '.join(allowed)} in a {kind}", seen=describe(number))
        return None
    judge.passed(check.ALG_ALLOWED)
    return algorithm


def _check_buckets(
    protected: dict[int | str | bytes, cbor.CborValue],
    unprotected: dict[int | str | bytes, cbor.CborValue],
    judge: Judge,
) -> None:
    bad = [label for bucket in (protected, unprotected) for label in bucket if isinstance(label, bytes)]
    judge.judge(check.HEADER_LABELS, not bad, expected="integer or text", seen=f"byte string label(s) {bad}"[:120])
    if unprotected:
        twice = [label for label in protected if label in unprotected]
        judge.judge(check.LABEL_ONCE, not twice, expected="one bucket each", seen=f"label(s) {twice} in both"[:120])
    else:
        judge.passed(check.LABEL_ONCE)
    problem = _header_values(protected) or _header_values(unprotected)
    if not problem and len({5, 6} & {*protected, *unprotected}) == 2:
        problem = "IV and Partial IV together"
    judge.judge(check.HEADER_VALUES, not problem, expected="the types of RFC 9052 s.3.1", seen=problem)
    _check_crit(protected, unprotected, judge)


def _header_values(bucket: dict[int | str | bytes, cbor.CborValue]) -> str:
    """What is wrong with a bucket's common parameters, or an empty text."""
    for label, value in bucket.items():
        if label == 1 and not (type(value) is int or isinstance(value, str)):
            return "alg (1) is neither integer nor text"
        if label == 3 and not ((type(value) is int and value >= 0) or isinstance(value, str)):
            return "content type (3) is neither unsigned integer nor text"
        if label in {4, 5, 6} and not isinstance(value, bytes):
            return f"label {label!r} is no byte string"
    return ""


def _check_crit(
    protected: dict[int | str | bytes, cbor.CborValue],
    unprotected: dict[int | str | bytes, cbor.CborValue],
    judge: Judge,
) -> None:
    problem = ""
    if 2 in unprotected:
        problem = "crit in the unprotected header"
    elif 2 in protected:
        labels = protected[2]
        if not isinstance(labels, list) or not labels:
            problem = "crit is no array, or an empty one"
        else:
            for label in labels:
                known = type(label) is int or isinstance(label, str)
                if not known or label not in protected:
                    problem = f"crit names {label!r}, which is not in the protected header"[:120]
                elif label not in _UNDERSTOOD:
                    problem = f"crit names {label!r}, which is not understood"[:120]
    judge.judge(check.CRIT, not problem, expected="no crit, or one that is understood", seen=problem)


def to_be_signed(message: CoseMessage, external_aad: bytes = b"") -> bytes:
    """The Sig_structure or MAC_structure (RFC 9052 s.4.4, s.6.3)."""
    context = b"\x84\x6aSignature1" if message.tag == SIGN1 else b"\x84\x64MAC0"
    raw = message.protected_raw
    if not message.protected:
        raw = b""  # an empty map is signed as an empty string
    return b"".join(
        (
            context,
            cbor.head(2, len(raw)), raw,
            cbor.head(2, len(external_aad)), external_aad,
            cbor.head(2, len(message.payload)), message.payload,
        )
    )  # fmt: skip


def check_signature(
    message: CoseMessage,
    algorithm: Algorithm | None,
    keys: KeyRing,
    judge: Judge,
    *,
    identifiers: tuple[bytes | None, ...] = (),
    external_aad: bytes = b"",
) -> VerificationKey | None:
    """Verify the signature or MAC with the key that fits; that key, or None.

    Args:
        message: from `parse`.
        algorithm: from `check_headers`; None records that nothing could be verified.
        keys: what is trusted.
        judge: where findings go.
        identifiers: key identifiers beside the kid: the instance id of the payload.
        external_aad: externally supplied data (RFC 9052 s.4.3).
    """
    if algorithm is None:
        not_verified(judge, "no usable algorithm")
        return None
    named = [i for i in (message.kid, *identifiers) if i is not None]
    candidates = keys.candidates(*named)
    if named and len(keys) > 1 and len(candidates) == len(keys):
        judge.failed(
            check.KEY_FOUND, expected=f"one of {len(keys)} trusted keys", seen=", ".join(i.hex() for i in named)[:200]
        )
        not_verified(judge, "no trusted key has this identity")
        return None
    judge.passed(check.KEY_FOUND)
    fitting = [key for key in candidates if key.suits(algorithm)]
    if not fitting:
        judge.failed(check.ALG_KEY, expected=f"a key for {algorithm.name}", seen=", ".join(map(str, candidates))[:200])
        not_verified(judge, "no trusted key belongs to the algorithm")
        return None
    judge.passed(check.ALG_KEY)
    problem = _signature_problem(message.signature, algorithm)
    if not judge.judge(check.SIGNATURE_FORMAT, not problem, expected=f"{algorithm.size} bytes", seen=problem):
        not_verified(judge, problem)
        return None
    structure = to_be_signed(message, external_aad)
    for key in fitting:
        if _verifies(key, structure, message.signature, algorithm):
            judge.passed(check.SIGNATURE)
            return key
    judge.failed(
        check.SIGNATURE, expected=f"made with {' or '.join(map(str, fitting))}"[:300], seen="it does not verify"
    )
    return None


def _signature_problem(signature: bytes, algorithm: Algorithm) -> str:
    if len(signature) != algorithm.size:
        der = " that look like DER" if signature[:1] == b"\x30" and algorithm.curve else ""
        return f"{len(signature)} bytes{der}"
    if algorithm.curve is not None:
        half = algorithm.curve.size
        for name, part in (("r", signature[:half]), ("s", signature[half:])):
            if not 0 < int.from_bytes(part, "big") < algorithm.curve.order:
                return f"{name} is zero or not below the group order"
    return ""


def _verifies(key: VerificationKey, structure: bytes, signature: bytes, algorithm: Algorithm) -> bool:
    if isinstance(key, SymmetricKey):
        return hmac.compare_digest(hmac.digest(key.secret, structure, algorithm.hash.name), signature)
    half = algorithm.size // 2
    der = encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
    try:
        key.handle.verify(der, structure, _ECDSA[algorithm.cose])
    except InvalidSignature:
        return False
    return True


def verify_cose(
    data: bytes,
    *,
    keys: KeyRing | PublicKey | SymmetricKey | Iterable[VerificationKey] | None,
    report: Report,
    external_aad: bytes = b"",
    algorithms: frozenset[int] = frozenset(ALGORITHMS),
    subject: str = "",
    max_size: int = cbor.MAX_SIZE,
) -> VerifiedMessage:
    """Judge one message: encoding, structure, headers, key and signature.

    Args:
        data: the whole tagged message.
        keys: what is trusted.
        report: gets the findings.
        external_aad: externally supplied data (RFC 9052 s.4.3).
        algorithms: COSE numbers allowed, of those this module knows.
        subject: named in findings.
        max_size: largest message in bytes.

    Raises:
        ConfigError: no key (kind ``no-key``).
    """
    ring = as_ring(keys)
    judge = Judge(report, subject)
    message = record_parse(data, judge, max_size=max_size)
    if message is None:
        return VerifiedMessage(None, None, None)
    algorithm = check_headers(message, judge, algorithms=algorithms)
    key = check_signature(message, algorithm, ring, judge, external_aad=external_aad)
    record_oddities(message.oddities, judge)
    return VerifiedMessage(message, algorithm, key)
