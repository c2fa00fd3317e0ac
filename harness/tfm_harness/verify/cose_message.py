"""The parts of COSE_Sign1 and COSE_Mac0 messages (RFC 9052 s.4.2, s.6.2), split strictly; nothing is verified here."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfm_harness.errors import ProductError
from tfm_harness.findings import Check
from tfm_harness.verify import cbor
from tfm_harness.verify.algorithms import ALGORITHMS
from tfm_harness.verify.checks import envelope as check
from tfm_harness.verify.judge import Judge

__all__ = [
    "MAC0",
    "SIGN1",
    "CoseMessage",
    "EnvelopeError",
    "byte_string",
    "decode_payload",
    "header_map",
    "not_verified",
    "parse",
    "record_oddities",
    "record_parse",
    "unprotected_map",
]


SIGN1 = 18
"""CBOR tag of COSE_Sign1."""
MAC0 = 17
"""CBOR tag of COSE_Mac0."""

_TAG_NAMES = {16: "COSE_Encrypt0", 61: "CWT", 96: "COSE_Encrypt", 97: "COSE_Mac", 98: "COSE_Sign", 399: "CCA token"}
_STRUCTURAL = (
    check.WELL_FORMED, check.DEFINITE, check.UNIQUE_KEYS, check.MAP_KEYS, check.TAGS, check.TRAILING, check.LIMITS,
    check.TAG, check.STRUCTURE, check.ATTACHED,
)  # fmt: skip


def _usual_starts() -> dict[bytes, tuple[int, bytes, int, int, int]]:
    """By the usual beginnings of messages: tag, protected header, algorithm, signature size, size of the beginning.

    A beginning is everything before the payload, of a message whose headers hold only the algorithm.
    """
    starts = {}
    for number, algorithm in ALGORITHMS.items():
        tag, protected = MAC0 if algorithm.is_mac else SIGN1, cbor.encode({1: number})
        start = cbor.head(6, tag) + b"\x84" + cbor.encode(protected) + b"\xa0"
        starts[start] = (tag, protected, number, algorithm.size, len(start))
    return starts


_USUAL_STARTS = _usual_starts()
_USUAL = (check.PREFERRED, check.MAP_ORDER)


class EnvelopeError(ProductError):
    """The bytes are not a COSE message that this verifier accepts; `check` is the rule that is broken."""

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


def parse(data: bytes, *, max_size: int = cbor.MAX_SIZE) -> CoseMessage:
    """Split a tagged COSE_Sign1 or COSE_Mac0 message.

    Raises:
        CborError: the encoding is refused.
        EnvelopeError: it is CBOR, but no such message.
    """
    if len(data) > max_size:
        raise cbor.CborError("limits", 0, f"{len(data)} bytes, more than the limit of {max_size}")
    data = bytes(data)  # slices of a bytearray would not be bytes
    usual = _parse_usual(data)
    if usual is not None:
        return usual
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
    start, pos = byte_string(data, pos, end, odd, "the protected header")
    protected_raw = data[start:pos]
    protected = header_map(data, start, pos, odd) if protected_raw else {}
    unprotected, pos = unprotected_map(data, pos, end, odd)
    if pos < end and data[pos] == 0xF6:
        raise EnvelopeError(check.ATTACHED, expected="a payload", seen="nil (detached payload)", offset=pos)
    payload_at, pos = byte_string(data, pos, end, odd, "the payload")
    payload = data[payload_at:pos]
    start, pos = byte_string(data, pos, end, odd, "the signature or tag")
    if pos != end:
        raise cbor.CborError("trailing", pos, f"{end - pos} byte(s) after the end of the COSE message")
    return CoseMessage(
        tag, protected_raw, protected, unprotected, payload, payload_at, data[start:pos], tuple(odd), data
    )


def _parse_usual(data: bytes) -> CoseMessage | None:
    """The parts of a message in the usual form: the only header is the algorithm, every length has its shortest form.

    None for any other message: `parse` then splits it with all checks.
    """
    known = _USUAL_STARTS.get(data[:7]) or _USUAL_STARTS.get(data[:8])
    if known is None:
        return None
    tag, protected_raw, number, signature_size, at = known
    stop = len(data) - signature_size - 2
    if stop <= at + 2 or data[stop] != 0x58 or data[stop + 1] != signature_size:
        return None
    if data[at] == 0x59:
        payload_at, length = at + 3, data[at + 1] << 8 | data[at + 2]
        shortest = length > 0xFF
    else:
        payload_at, length = at + 2, data[at + 1]
        shortest = data[at] == 0x58 and length > 23
    if not shortest or payload_at + length != stop:
        return None
    return CoseMessage(
        tag, protected_raw, {1: number}, {}, data[payload_at:stop], payload_at, data[stop + 2 :], (), data
    )


def byte_string(
    data: bytes, pos: int, end: int, odd: list[cbor.Oddity], what: str, *, broken: Check = check.STRUCTURE
) -> tuple[int, int]:
    """Start and end of a byte string's content.

    Raises:
        CborError: the encoding is refused.
        EnvelopeError: the value has another type; `broken` is the rule that this breaks.
    """
    at = pos
    major, length, pos = cbor.read_head(data, pos, end, odd)
    if major != 2:
        seen = "null" if data[at] == 0xF6 else cbor.type_names[major]
        raise EnvelopeError(broken, expected=f"a byte string as {what}", seen=seen, offset=at)
    if length > end - pos:
        raise cbor.CborError("well-formed", at, f"{what} of {length} bytes, {end - pos} left")
    return pos, pos + length


def header_map(
    data: bytes, start: int, end: int, odd: list[cbor.Oddity], *, broken: Check = check.STRUCTURE
) -> dict[int | str | bytes, cbor.CborValue]:
    """The protected header that is encoded in these bytes. Raises the errors of `byte_string`."""
    if data[start] >> 5 not in {5, 6}:
        seen = cbor.type_names[data[start] >> 5]
        raise EnvelopeError(broken, expected="a map in the protected header", seen=seen, offset=start)
    decoded = cbor.decode_range(data, start, end)
    odd.extend(decoded.oddities)
    if not isinstance(decoded.value, dict):  # pragma: no cover -- the head said map, or the decoder raised
        raise EnvelopeError(check.STRUCTURE, expected="a map", seen="another type", offset=start)
    return decoded.value


def unprotected_map(
    data: bytes, pos: int, end: int, odd: list[cbor.Oddity], *, broken: Check = check.STRUCTURE
) -> tuple[dict[int | str | bytes, cbor.CborValue], int]:
    """The unprotected header that begins at `pos`, and where it ends. Raises the errors of `byte_string`."""
    if pos < end and data[pos] >> 5 not in {5, 6}:
        seen = cbor.type_names[data[pos] >> 5]
        raise EnvelopeError(broken, expected="a map as unprotected header", seen=seen, offset=pos)
    value, stop = cbor.decode_item(data, pos, end, odd)
    if not isinstance(value, dict):  # pragma: no cover -- the head said map, or the decoder raised
        raise EnvelopeError(broken, expected="a map", seen="another type", offset=pos)
    return value, stop


def record_parse(data: bytes, judge: Judge, *, max_size: int = cbor.MAX_SIZE) -> CoseMessage | None:
    """Call `parse` and record its outcome as findings; None when there is no message to judge."""
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


def decode_payload(
    message: CoseMessage, is_map: Check, judge: Judge
) -> tuple[dict[int | str | bytes, cbor.CborValue], tuple[cbor.Oddity, ...]] | None:
    """The map in a message's payload, and the oddities of its encoding; None, with a finding, when it is no map.

    Args:
        message: from `record_parse`.
        is_map: the check that the payload is a map.
        judge: where findings go.
    """
    start = message.payload_at
    try:
        decoded = cbor.decode_range(message.raw, start, start + len(message.payload))
    except cbor.CborError as error:
        judge.failed(check.BY_RULE[error.rule], seen=f"in the payload: {error.message}", where=f"byte {error.offset}")
        return None
    if not isinstance(decoded.value, dict):
        judge.failed(is_map, expected="a map", seen=type(decoded.value).__name__, where=f"byte {start}")
        return None
    judge.passed(is_map)
    return decoded.value, decoded.oddities


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
    """Record that no signature was verified: without one, nothing in the message is evidence."""
    judge.failed(check.SIGNATURE, expected="a signature that verifies", seen=f"not verified: {why}")
