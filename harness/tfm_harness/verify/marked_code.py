"""The instructions of chosen functions of an Armv8-M image, with their lengths and source lines.

A build puts the functions that take security decisions into a section of the ELF file; others are chosen by name.
Bytes in, values out.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from tfm_harness.errors import ProductError
from tfm_harness.verify.elf import Segment, load_segments

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

__all__ = ["DECISIONS", "Instruction", "MarkedCode", "is_wide", "read_marked_code"]

DECISIONS: Final = ".decisions"
"""The section for functions that take security decisions."""

_FUNCTION = "STT_FUNC"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One Thumb instruction.

    Attributes:
        address: the address.
        size: 2 or 4 bytes.
        code: its first halfword in the upper, its second in the lower 16 bits (16-bit instructions: 0 there).
        function: the name of the function that it belongs to.
    """

    address: int
    size: int
    code: int
    function: str

    @property
    def decides(self) -> bool:
        """Whether control flow depends on the instruction: branches, calls, returns, compares, tests and IT."""
        first, second = self.code >> 16, self.code & 0xFFFF
        if self.size == 4:
            branch = first & 0xF800 == 0xF000 and second & 0x8000 == 0x8000  # B.W, BL
            pop = first == 0xE8BD and second & 0x8000 == 0x8000  # POP.W with the PC
            compare = first & 0xFBF0 in {0xF1B0, 0xF110, 0xF010} or first & 0xFFF0 in {0xEBB0, 0xEA10}  # CMP, CMN, TST
            return branch or pop or compare
        return (
            first & 0xF000 == 0xD000  # B<cond>
            or first & 0xF800 == 0xE000  # B
            or first & 0xF500 == 0xB100  # CBZ, CBNZ
            or first & 0xFF00 in {0xBD00, 0x4700, 0x4500}  # POP with the PC; BX, BLX; CMP
            or (first & 0xFF00 == 0xBF00 and first & 0xF != 0)  # IT
            or first & 0xF800 == 0x2800  # CMP immediate
            or first & 0xFFC0 in {0x4280, 0x4200}  # CMP, TST
        )


def is_wide(halfword: int) -> bool:
    """Whether an instruction that begins with this halfword has 32 bits (Armv8-M ARM DDI 0553, C2.1)."""
    return halfword >> 11 in {0b11101, 0b11110, 0b11111}


@dataclass(frozen=True)
class MarkedCode:
    """The chosen functions of one image.

    Attributes:
        functions: their names, in order of address.
        instructions: by address, in ascending order.
        symbols: addresses of all functions of the image, by name.
    """

    functions: tuple[str, ...]
    instructions: Mapping[int, Instruction]
    symbols: Mapping[str, int]
    _segments: tuple[Segment, ...]
    _data: bytes

    def size_at(self, address: int) -> int:
        """Length in bytes of the instruction at any address of the image; 2 where the image has no bytes."""
        for segment in self._segments:
            at = address - segment.address
            if 0 <= at <= len(segment.content) - 2:
                return 4 if is_wide(int.from_bytes(segment.content[at : at + 2], "little")) else 2
        return 2

    def line(self, address: int) -> str:
        """``file:line`` of an address, by the image's debug information; empty where it says nothing."""
        starts, lines = self._lines
        at = bisect.bisect_right(starts, address) - 1
        return lines[at] if at >= 0 else ""

    @cached_property
    def _lines(self) -> tuple[list[int], list[str]]:
        """Addresses at which source lines begin, and the lines; read when a finding needs them."""
        with_lines = dict(sorted(_line_table(_open(self._data))))
        return list(with_lines), list(with_lines.values())


def read_marked_code(data: bytes, *, names: Iterable[str] = (), section: str = DECISIONS) -> MarkedCode:
    """The functions that lie in `section`, and those in `names`.

    Args:
        data: the ELF file, with its symbols.
        names: further functions, by the names of their symbols; those that the image does not have are left out.
        section: name of the section that marks functions.

    Raises:
        ProductError: kind ``elf``: no ELF file, or one that cannot be read.
    """
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError

    try:
        return _read(data, frozenset(names), section)
    except (ELFError, ConstructError, ValueError, KeyError, AssertionError) as error:
        raise ProductError(
            "the image's symbols cannot be read", kind="elf", expected="an ELF file with symbols", seen=str(error)
        ) from error


def _open(data: bytes) -> ELFFile:
    from elftools.elf.elffile import ELFFile

    return ELFFile(io.BytesIO(data))


@lru_cache(maxsize=2)
def _read(data: bytes, names: frozenset[str], section: str) -> MarkedCode:
    """As `read_marked_code`; each test of a suite asks for the same image's code."""
    from elftools.elf.sections import SymbolTableSection

    segments = tuple(load_segments(data))
    elf = _open(data)
    table = elf.get_section_by_name(".symtab")
    marked = elf.get_section_by_name(section)
    span = range(marked["sh_addr"], marked["sh_addr"] + marked["sh_size"]) if marked is not None else range(0)
    symbols: dict[str, int] = {}
    maps: list[tuple[int, bool]] = []  # where code ($t) and data ($d) begin (ELF for the Arm Architecture, 5.5.5)
    chosen: dict[int, tuple[int, str]] = {}
    for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
        at, size, name = symbol["st_value"], symbol["st_size"], symbol.name
        if name[:2] in {"$t", "$d"} and name[2:3] in {"", "."}:
            maps.append((at, name[1] == "t"))
        elif symbol["st_info"]["type"] == _FUNCTION:
            start = at & ~1
            symbols.setdefault(name, start)
            if start in span or (size and name in names):
                chosen.setdefault(start, (size, name))
    maps.sort()
    found: dict[int, Instruction] = {}
    starts = sorted(chosen)
    for start, following in zip(starts, [*starts[1:], span.stop], strict=False):
        size, name = chosen[start]
        end = start + size if size else following  # a secure entry function has no size of its own
        found.update((one.address, one) for one in _instructions(segments, start, end, name, maps))
    return MarkedCode(tuple(chosen[start][1] for start in starts), found, symbols, segments, data)


def _instructions(
    segments: tuple[Segment, ...], start: int, end: int, name: str, maps: list[tuple[int, bool]]
) -> Iterable[Instruction]:
    content = next((s for s in segments if s.address <= start and end <= s.address + len(s.content)), None)
    if content is None:
        return
    at = start
    while at < end:
        place = bisect.bisect_right(maps, (at, True)) - 1
        if place >= 0 and not maps[place][1]:  # a literal pool or a table
            at = next((where for where, code in maps[place + 1 :] if code and where > at), end)
            continue
        first = int.from_bytes(content.content[at - content.address :][:2], "little")
        size = 4 if is_wide(first) else 2
        second = int.from_bytes(content.content[at - content.address + 2 :][:2], "little") if size == 4 else 0
        yield Instruction(at, size, first << 16 | second, name)
        at += size


def _line_table(elf: ELFFile) -> Iterable[tuple[int, str]]:
    if not elf.has_dwarf_info():
        return
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        header = program.header
        first = 0 if header["version"] >= 5 else 1  # DWARF 5 counts files from 0 (section 6.2.4)
        files = [entry.name.decode("utf-8", "backslashreplace") for entry in header["file_entry"]]
        folders = [name.decode("utf-8", "backslashreplace") for name in header["include_directory"]]
        dirs = [entry.dir_index for entry in header["file_entry"]]
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            number = state.file - first
            known = 0 <= number < len(files) and not state.end_sequence
            yield state.address, f"{_path(files, folders, dirs, number, first)}:{state.line}" if known else ""


def _path(files: list[str], folders: list[str], dirs: list[int], number: int, first: int) -> str:
    folder = dirs[number] - first
    name = files[number]
    if name.startswith("/") or not 0 <= folder < len(folders):
        return name
    return f"{folders[folder].removeprefix('./')}/{name}" if folders[folder] not in {"", "."} else name
