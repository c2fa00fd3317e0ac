"""Reads and changes the reference firmware's object store in a virtual board's NV memory.

The layout is that of ``spe/storage/its_store.h``: two copies, each a magic number, a sequence number, 32 objects and a
CRC-32 over sequence and objects; all little endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Final

__all__ = [
    "COPIES",
    "NoObjectError",
    "left_behind",
    "object_in",
    "with_object",
    "with_objects_changed",
    "with_sequences",
]

COPIES: Final = (0x0, 0x10000)
"""Offsets of the copies in the NV area (docs/protocol.md)."""

_MAGIC: Final = 0x31535449
_OBJECTS: Final = 32
_DATA: Final = 128
_HEAD: Final = struct.Struct("<IiQII")  # used, owner, uid, flags, size
_NAMES: Final = ("used", "owner", "uid", "flags", "size")
_OBJECT: Final = _HEAD.size + _DATA
_CRC_AT: Final = 8 + _OBJECTS * _OBJECT


class NoObjectError(LookupError):
    """The area has no such copy, or the copy has no such object."""


def object_in(area: bytes, owner: int, uid: int) -> bytes:
    """The content of one object, in the newer copy.

    Args:
        area: the whole area.
        owner: partition id.
        uid: the object's number.

    Raises:
        NoObjectError: this is no such store, or the object is not in it.
    """
    for copy in COPIES:
        _whole(area, copy)
    newer = max(COPIES, key=lambda copy: struct.unpack_from("<I", area, copy + 4))
    return area[_place(area, newer, owner, uid)]


def with_object(area: bytes, owner: int, uid: int, data: bytes) -> bytes:
    """The NV area with another value of one object, in both copies.

    Args:
        area: the whole area.
        owner: partition id.
        uid: the object's number.
        data: the new content, with the same length as the old one.

    Raises:
        NoObjectError: this is no such store, or the object is not in it.
    """
    changed = bytearray(area)
    for copy in COPIES:
        _whole(area, copy)
        place = _place(area, copy, owner, uid)
        if place.stop - place.start != len(data):
            raise NoObjectError(f"no object {uid:#x} of partition {owner} of {len(data)} bytes")
        changed[place] = data
        _seal(changed, copy)
    return bytes(changed)


def with_objects_changed(
    area: bytes, change: Callable[[dict[str, int]], None], copies: Sequence[int] = COPIES
) -> bytes:
    """The NV area with changed heads of objects, and right CRCs over them.

    Args:
        area: the whole area.
        change: gets each object's ``used``, ``owner``, ``uid``, ``flags`` and ``size``, and may change them.
        copies: offsets of the copies to change.

    Raises:
        NoObjectError: this is no such store.
    """
    changed = bytearray(area)
    for copy in copies:
        _whole(area, copy)
        for number in range(_OBJECTS):
            at = copy + 8 + number * _OBJECT
            head = dict(zip(_NAMES, _HEAD.unpack_from(area, at), strict=True))
            change(head)
            _HEAD.pack_into(changed, at, *(head[name] for name in _NAMES))
        _seal(changed, copy)
    return bytes(changed)


def with_sequences(area: bytes, first: int, second: int) -> bytes:
    """The NV area with other sequence numbers of the two copies, and right CRCs over them.

    Raises:
        NoObjectError: this is no such store.
    """
    changed = bytearray(area)
    for copy, sequence in zip(COPIES, (first, second), strict=True):
        _whole(area, copy)
        struct.pack_into("<I", changed, copy + 4, sequence)
        _seal(changed, copy)
    return bytes(changed)


def left_behind(area: bytes) -> list[str]:
    """Describes, in words, bytes other than zero after the content of an object or in an unused place, in either copy.

    Raises:
        NoObjectError: this is no such store.
    """
    found = []
    for copy in COPIES:
        _whole(area, copy)
        for number in range(_OBJECTS):
            at = copy + 8 + number * _OBJECT
            used, owner, uid, _, size = _HEAD.unpack_from(area, at)
            start = at + _HEAD.size + size if used else at
            if any(area[start : at + _OBJECT]):
                found.append(f"copy {copy:#x}, {f'object {uid:#x} of {owner}' if used else f'place {number}'}")
    return found


def _place(area: bytes, copy: int, owner: int, uid: int) -> slice:
    """The offset of an object's content in the area."""
    for number in range(_OBJECTS):
        at = copy + 8 + number * _OBJECT
        used, its_owner, its_uid, _, size = _HEAD.unpack_from(area, at)
        if used and its_owner == owner and its_uid == uid:
            return slice(at + _HEAD.size, at + _HEAD.size + size)
    raise NoObjectError(f"no object {uid:#x} of partition {owner}")


def _seal(area: bytearray, copy: int) -> None:
    """Write the CRC of a copy."""
    struct.pack_into("<I", area, copy + _CRC_AT, zlib.crc32(area[copy + 4 : copy + _CRC_AT]))


def _whole(area: bytes, copy: int) -> None:
    (magic,) = struct.unpack_from("<I", area, copy)
    (crc,) = struct.unpack_from("<I", area, copy + _CRC_AT)
    if magic != _MAGIC or crc != zlib.crc32(area[copy + 4 : copy + _CRC_AT]):
        raise NoObjectError(f"no whole copy at {copy:#x}")
