"""CBOR with tags, for CoRIM: as strict as `tfm_harness.verify.cbor`, which refuses tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tfm_harness.verify.cbor import CborError, decode_item, read_head
from tfm_harness.verify.cbor_encoder import head

__all__ = ["MAX_SIZE", "Tagged", "decode_tagged", "encode_tagged"]

MAX_SIZE: Final = 1 << 20
"""The most bytes of a CoRIM."""
_MAX_DEPTH: Final = 24


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag with its content."""

    tag: int
    value: Any


def decode_tagged(data: bytes) -> Any:  # noqa: ANN401 - any CBOR value
    """Decode the one item that fills `data`; tags are `Tagged`.

    Raises:
        CborError: an encoding that `tfm_harness.verify.cbor` refuses, except tags.
    """
    if len(data) > MAX_SIZE:
        raise CborError("limits", 0, f"{len(data)} bytes, more than the limit of {MAX_SIZE}")
    value, stop = _item(data, 0, _MAX_DEPTH)
    if stop != len(data):
        raise CborError("trailing", stop, f"{len(data) - stop} byte(s) after the end of the data item")
    return value


def _item(data: bytes, pos: int, depth: int) -> tuple[Any, int]:
    end = len(data)
    major, argument, after = read_head(data, pos, end, [])
    if major not in {4, 5, 6}:
        return decode_item(data, pos, end, [])
    if depth == 0:
        raise CborError("limits", pos, "nested too deeply")
    if major == 6:
        value, stop = _item(data, after, depth - 1)
        return Tagged(argument, value), stop
    if argument * (major - 3) > end - after:
        raise CborError("well-formed", pos, f"{argument} items, {end - after} bytes left")
    if major == 4:
        items = []
        for _ in range(argument):
            item, after = _item(data, after, depth - 1)
            items.append(item)
        return items, after
    found: dict[Any, Any] = {}
    for _ in range(argument):
        key_major, _, _ = read_head(data, after, end, [])
        if key_major not in {0, 1, 3}:
            raise CborError("map-keys", after, "a map key that is neither integer nor text")
        at = after
        key, after = decode_item(data, after, end, [])
        if key in found:
            raise CborError("unique-keys", at, f"map key {str(key)[:80]} appears twice")
        found[key], after = _item(data, after, depth - 1)
    return found, after


def encode_tagged(value: object) -> bytes:
    """Encode deterministically (RFC 8949 s.4.2.1), `Tagged` included.

    Raises:
        TypeError, ValueError: as `tfm_harness.verify.cbor_encoder.encode`.
    """
    from tfm_harness.verify.cbor_encoder import encode

    if isinstance(value, Tagged):
        return head(6, value.tag) + encode_tagged(value.value)
    if isinstance(value, list | tuple):
        return head(4, len(value)) + b"".join(map(encode_tagged, value))
    if isinstance(value, dict):
        pairs = sorted((encode(key), encode_tagged(item)) for key, item in value.items())
        return head(5, len(pairs)) + b"".join(key + item for key, item in pairs)
    return encode(value)
