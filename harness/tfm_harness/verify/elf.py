"""The loadable segments of a 32-bit little-endian ELF file (System V ABI, chapters 4 and 5).

It reads only what a measurement needs: physical addresses and file bytes. Bytes in, values out.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from tfm_harness.errors import ProductError

__all__ = ["MAGIC", "ElfError", "Segment", "flash_bytes", "gateways", "load_segments", "measure"]

MAGIC = b"\x7fELF"

_IDENT = b"\x7fELF\x01\x01\x01"  # 32 bit, little endian, version 1
_HEADER = struct.Struct("<16xHHIIIIIHHHHHH")
_PROGRAM = struct.Struct("<IIIIIIII")
_PT_LOAD = 1
_SECTION = struct.Struct("<IIIIIIIIII")
_SHT_PROGBITS = 1
_SHF_ALLOC = 2
_ERASED = b"\xff"
_GATEWAYS = b".gnu.sgstubs"
_SG = bytes.fromhex("7fe97fe9")
"""The instruction SG (DDI 0553, C2.4), with which each gateway begins."""
_STUB = 8
MAX_SEGMENTS = 256
MAX_SPAN = 64 << 20
"""The most bytes that one image may span, from its first address to its last."""


class ElfError(ProductError):
    """The bytes are no such ELF file, at a byte offset."""

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


def flash_bytes(data: bytes) -> tuple[int, bytes]:
    """The content that an ELF file loads: the first physical address, and all bytes from there; gaps read as 0xFF.

    A file without program headers (as ``objcopy -I binary`` or ``-I ihex`` writes) is read by its sections.

    Raises:
        ElfError: as `load_segments`; nothing to load, a byte given twice, or too wide a span.
    """
    segments = _loaded_sections(data) if _is_without_segments(data) else load_segments(data)
    if not segments:
        raise ElfError(0, "an ELF file with nothing to load")
    first = segments[0].address
    last = max(segment.address + len(segment.content) for segment in segments)
    if last - first > MAX_SPAN:
        raise ElfError(0, f"what it loads spans {last - first} bytes from {first:#x}: more than one image")
    out = bytearray(_ERASED * (last - first))
    end = first
    for segment in segments:
        if segment.address < end:
            raise ElfError(0, f"address {segment.address:#x} is loaded twice")
        end = segment.address + len(segment.content)
        out[segment.address - first : end - first] = segment.content
    return first, bytes(out)


def _is_without_segments(data: bytes) -> bool:
    return len(data) >= _HEADER.size and data.startswith(_IDENT) and _HEADER.unpack_from(data)[9] == 0


def _loaded_sections(data: bytes) -> list[Segment]:
    """The sections that have content and are loaded, in ascending order of address."""
    found = []
    for index, (_, kind, flags, address, offset, size, *_) in enumerate(_sections(data, most=MAX_SEGMENTS)):
        if kind != _SHT_PROGBITS or not flags & _SHF_ALLOC or size == 0:
            continue
        found.append(Segment(address, _content(data, offset, size, str(index))))
    return sorted(found, key=lambda section: section.address)


def _sections(data: bytes, *, most: int = 0xFFFF) -> list[tuple[int, ...]]:
    """The entries of the section header table: name, type, flags, address, offset, size and four more words."""
    fields = _HEADER.unpack_from(data)
    table, entry_size, count = fields[5], fields[10], fields[11]
    if entry_size != _SECTION.size or not 0 < count <= most or table + count * entry_size > len(data):
        raise ElfError(32, f"a section header table of {count} entries of {entry_size} bytes at {table:#x}")
    return [_SECTION.unpack_from(data, table + index * entry_size) for index in range(count)]


def _content(data: bytes, offset: int, size: int, section: str) -> bytes:
    if offset + size > len(data):
        raise ElfError(
            _HEADER.unpack_from(data)[5],
            f"section {section} ends at {offset + size:#x}, the file at {len(data):#x}",
        )
    return data[offset : offset + size]


def gateways(data: bytes) -> list[int]:
    """Addresses of the gateways through which the non-secure side enters: the stubs of section ``.gnu.sgstubs``.

    Args:
        data: the secure image as the linker wrote it. Empty when it has no such section.

    Raises:
        ElfError: no 32-bit little-endian ELF file, or one that is cut off.
    """
    if len(data) < _HEADER.size or not data.startswith(_IDENT):
        raise ElfError(0, "no 32-bit little-endian ELF file")
    fields = _HEADER.unpack_from(data)
    table, names = fields[5], fields[12]
    if not table:
        return []
    sections = _sections(data)
    if names >= len(sections):
        raise ElfError(50, f"the sections' names are said to be in section {names} of {len(sections)}")
    text = sections[names][4]
    found = []
    for name, kind, _, address, offset, size, *_ in sections:
        if data[text + name : text + name + len(_GATEWAYS) + 1] != _GATEWAYS + b"\0" or kind != _SHT_PROGBITS:
            continue
        stubs = _content(data, offset, size, _GATEWAYS.decode())
        found += [address + at for at in range(0, size, _STUB) if stubs[at : at + len(_SG)] == _SG]
    return found
