"""Brings an authority's answer into DER: OpenSSL does not sort the certificates, which are a SET OF. Pure."""

from __future__ import annotations

__all__ = ["sort_certificates"]

_SEQUENCE = 0x30
_CONTEXT_0 = 0xA0


def sort_certificates(answer: bytes) -> bytes:
    """The answer with its certificates in the order that DER demands (X.690 s.11.6).

    The certificates are not part of the bytes that the authority signs (RFC 5652 s.5.4), and no length changes. Bytes
    that have not the structure of an answer (RFC 3161 s.2.4.2) are returned unchanged: the strict reader reports them.
    """
    try:
        at = _skip(answer, _enter(answer, 0, _SEQUENCE))  # enter the answer, skip its status
        at = _skip(answer, _enter(answer, at, _SEQUENCE))  # enter the ContentInfo, skip its type
        at = _enter(answer, _enter(answer, at, _CONTEXT_0), _SEQUENCE)  # enter the SignedData
        for _ in range(3):  # skip version, digest algorithms, content
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
    """The offset at which the content of the element at `at` begins; the element must have this tag."""
    if data[at] != tag:
        raise ValueError(f"tag {data[at]:#x}")
    return at + 2 + (data[at + 1] & 0x7F if data[at + 1] & 0x80 else 0)


def _skip(data: bytes, at: int) -> int:
    """The offset at which the element at `at` ends."""
    first = data[at + 1]
    if first < 0x80:
        end = at + 2 + first
    else:
        digits = first & 0x7F
        end = at + 2 + digits + int.from_bytes(data[at + 2 : at + 2 + digits], "big")
    if end > len(data) or first == 0x80:
        raise ValueError("an element that is longer than the data")
    return end
