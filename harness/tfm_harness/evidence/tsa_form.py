"""An authority's answer brought into DER: OpenSSL's does not sort the certificates, which are a SET OF. Pure."""

from __future__ import annotations

__all__ = ["sort_certificates"]

_SEQUENCE = 0x30
_CONTEXT_0 = 0xA0


def sort_certificates(answer: bytes) -> bytes:
    """The answer with its certificates in the order that DER demands (X.690 s.11.6).

    They are outside of what the authority signs (RFC 5652 s.5.4), and no length changes. What is not laid out as an
    answer (RFC 3161 s.2.4.2) comes back as it is: the strict reader says what is wrong with it.
    """
    try:
        at = _skip(answer, _enter(answer, 0, _SEQUENCE))  # into the answer, over its status
        at = _skip(answer, _enter(answer, at, _SEQUENCE))  # into the ContentInfo, over its type
        at = _enter(answer, _enter(answer, at, _CONTEXT_0), _SEQUENCE)  # into the SignedData
        for _ in range(3):  # over version, digest algorithms, content
            at = _skip(answer, at)
        begin, end = _enter(answer, at, _CONTEXT_0), _skip(answer, at)
        certificates = []
        at = begin
        while at < end:
            after = _skip(answer, at)
            certificates.append(answer[at:after])
            at = after
    except (IndexError, ValueError):
        return answer
    return answer[:begin] + b"".join(sorted(certificates)) + answer[end:] if at == end else answer


def _enter(data: bytes, at: int, tag: int) -> int:
    """Where the content of the element at `at` begins; it must have this tag."""
    if data[at] != tag:
        raise ValueError(f"tag {data[at]:#x}")
    return at + 2 + (data[at + 1] & 0x7F if data[at + 1] & 0x80 else 0)


def _skip(data: bytes, at: int) -> int:
    """Where the element at `at` ends."""
    first = data[at + 1]
    if first < 0x80:
        end = at + 2 + first
    else:
        digits = first & 0x7F
        end = at + 2 + digits + int.from_bytes(data[at + 2 : at + 2 + digits], "big")
    if end > len(data) or first == 0x80:
        raise ValueError("an element that is longer than the data")
    return end
