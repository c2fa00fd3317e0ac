"""A small deterministic CBOR encoder (RFC 8949 s.4.2.1) for the harness' own messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["encode", "head"]


def encode(value: object) -> bytes:
    """Encode deterministically (RFC 8949 s.4.2.1): shortest heads, maps in bytewise key order.

    Accepts None, bool, int, bytes, str, sequences and mappings. The harness itself
    encodes no floats.

    Raises:
        TypeError: another type.
        ValueError: an integer beyond 64 bits.
    """
    out = bytearray()
    _encode(value, out)
    return bytes(out)


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


def _encode(value: object, out: bytearray) -> None:
    # The usual types come first: each request of a session is encoded here.
    if isinstance(value, str):
        text = value.encode()
        out += head(3, len(text))
        out += text
    elif value is None or isinstance(value, bool):
        out.append({False: 0xF4, True: 0xF5, None: 0xF6}[value])
    elif isinstance(value, int):
        out += head(0, value) if value >= 0 else head(1, -1 - value)
    elif isinstance(value, bytes | bytearray):
        out += head(2, len(value))
        out += value
    elif isinstance(value, dict | Mapping):  # dict first: asking an abstract class takes long
        out += head(5, len(value))
        for pair in sorted([encode(key), encode(item)] for key, item in value.items()):
            out += pair[0]
            out += pair[1]
    elif isinstance(value, list | tuple | Sequence):
        out += head(4, len(value))
        for item in value:
            _encode(item, out)
    else:
        raise TypeError(f"cannot encode {type(value).__name__} as CBOR")
