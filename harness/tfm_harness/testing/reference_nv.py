"""The reference firmware's object store as a test finds and changes it in a virtual board's NV memory.

The layout is that of ``spe/storage/its_store.h``: two copies, each a magic number, a sequence number, 32 objects and a
CRC-32 over sequence and objects; all little endian.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

__all__ = ["COPIES", "NoObjectError", "with_object"]

COPIES: Final = (0x0, 0x10000)
"""Offsets of the copies in the NV area (docs/protocol.md)."""

_MAGIC: Final = 0x31535449
_OBJECTS: Final = 32
_DATA: Final = 128
_HEAD: Final = struct.Struct("<IiQII")  # used, owner, uid, flags, size
_OBJECT: Final = _HEAD.size + _DATA
_CRC_AT: Final = 8 + _OBJECTS * _OBJECT


class NoObjectError(LookupError):
    """The area holds no such copy, or the copy no such object."""


def with_object(area: bytes, owner: int, uid: int, data: bytes) -> bytes:
    """The NV area with another value of one object, in both copies.

    Args:
        area: the whole area.
        owner: partition id.
        uid: the object's number.
        data: as long as what the object holds.

    Raises:
        NoObjectError: this is no such store, or the object is not in it.
    """
    changed = bytearray(area)
    for copy in COPIES:
        (magic,) = struct.unpack_from("<I", area, copy)
        (crc,) = struct.unpack_from("<I", area, copy + _CRC_AT)
        if magic != _MAGIC or crc != zlib.crc32(area[copy + 4 : copy + _CRC_AT]):
            raise NoObjectError(f"no whole copy at {copy:#x}")
        for number in range(_OBJECTS):
            at = copy + 8 + number * _OBJECT
            used, its_owner, its_uid, _, size = _HEAD.unpack_from(area, at)
            if used and its_owner == owner and its_uid == uid and size == len(data):
                changed[at + _HEAD.size : at + _HEAD.size + size] = data
                break
        else:
            raise NoObjectError(f"no object {uid:#x} of partition {owner}")
        struct.pack_into("<I", changed, copy + _CRC_AT, zlib.crc32(changed[copy + 4 : copy + _CRC_AT]))
    return bytes(changed)
