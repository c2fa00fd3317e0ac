"""The loadable segments of a 32-bit little-endian ELF file (System V ABI, chapters 4 and 5).

Only what a measurement needs: physical addresses and file bytes. Bytes in, values out.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from tfm_harness.errors import ProductError

__all__ = ["ElfError", "Segment", "load_segments", "measure"]

_IDENT = b"\x7fELF\x01\x01\x01"  # 32 bit, little endian, version 1
_HEADER = struct.Struct("<16xHHIIIIIHHHHHH")
_PROGRAM = struct.Struct("<IIIIIIII")
_PT_LOAD = 1
MAX_SEGMENTS = 256


class ElfError(ProductError):
    """Bytes that are no such ELF file, at a byte offset."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message, kind="elf", where=f"byte {offset:#x}")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Segment:
    """One PT_LOAD segment: where it is loaded (physical address) and its bytes in the file."""

    address: int
    content: bytes = field(repr=False)


def load_segments(data: bytes) -> list[Segment]:
    """The PT_LOAD segments with file content, in ascending order of physical address.

    Raises:
        ElfError: no 32-bit little-endian ELF file, or one that is cut off.
    """
    if len(data) < _HEADER.size or not data.startswith(_IDENT):
        raise ElfError(0, "no 32-bit little-endian ELF file")
    _, _, _, _, table, _, _, _, entry_size, count, *_ = _HEADER.unpack_from(data)
    if entry_size != _PROGRAM.size or not 0 < count <= MAX_SEGMENTS or table + count * entry_size > len(data):
        raise ElfError(28, f"a program header table of {count} entries of {entry_size} bytes at {table:#x}")
    segments = []
    for index in range(count):
        at = table + index * entry_size
        kind, offset, _, address, file_size, *_ = _PROGRAM.unpack_from(data, at)
        if kind != _PT_LOAD or file_size == 0:
            continue
        if offset + file_size > len(data):
            raise ElfError(at, f"segment {index} ends at {offset + file_size:#x}, the file at {len(data):#x}")
        segments.append(Segment(address, data[offset : offset + file_size]))
    return sorted(segments, key=lambda segment: segment.address)


def measure(data: bytes) -> bytes:
    """SHA-256 over the file bytes of the loadable segments in ascending order of address, 32 bytes.

    The reference firmware's measurement of its SPE (docs/protocol.md, "Identity").

    Raises:
        ElfError: as `load_segments`.
    """
    digest = hashlib.sha256()
    for segment in load_segments(data):
        digest.update(segment.content)
    return digest.digest()
