"""A small deterministic CBOR encoder (RFC 8949 s.4.2.1) for the harness' own messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

__all__ = ["encode", "head"]


def encode(value: object) -> bytes:
    """Encode deterministically (RFC 8949 s.4.2.1): shortest heads, maps in bytewise key order.

    Accepts None, bool, int, bytes, str, sequences and mappings. The harness itself
    encodes no floats.

    Raises:
        TypeError: another type.
        ValueError: an integer beyond 64 bits.
    """
    # The usual types come first: each request of a session is encoded here.
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes | bytearray):
        return head(2, len(value)) + value
    if isinstance(value, dict | Mapping):  # dict first: asking an abstract class takes long
        pairs = sorted([encode(key), encode(item)] for key, item in value.items())
        return head(5, len(pairs)) + b"".join(chain.from_iterable(pairs))
    if isinstance(value, list | tuple | Sequence):
        return head(4, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"cannot encode {type(value).__name__} as CBOR")


def head(major: int, argument: int) -> bytes:
    """The shortest head for a major type and argument.

    Raises:
        ValueError: the argument needs more than 64 bits.
    """
    if argument < 24:
        return _BYTES[major << 5 | argument]
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            return _BYTES[major << 5 | info] + argument.to_bytes(size, "big")
    raise ValueError(f"{argument} needs more than 64 bits")


_BYTES = [bytes([number]) for number in range(256)]
