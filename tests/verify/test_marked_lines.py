"""The source line of an address, by debug information that is written here byte for byte (DWARF 4 and 5, 6.2)."""

from __future__ import annotations

import struct

import pytest
from tfm_harness.verify.marked_code import read_marked_code

BASE = 0x10000100
FOLDERS = ("src", "./lib", ".", "/abs")
FILES = (("a.c", 1), ("b.h", 2), ("c.c", 3), ("d.c", 4), ("/e.c", 1), ("f.c", 0))
"""Names and the numbers of their folders; folder 0 is where the compiler ran."""
ROWS = ((1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (6, 60), (9, 70))
"""For each two bytes of code the number of the file, from 1, and the line. There is no ninth file."""
SHOWN = ("src/a.c:10", "lib/b.h:20", "c.c:30", "/abs/d.c:40", "/e.c:50", "f.c:60", "")
RAN = "/where/it/ran"
"""Only DWARF 5 names this folder."""


def leb(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found, number = found + bytes([number & 0x7F | 0x80]), number >> 7
    return found + bytes([number])


def program(version: int) -> bytes:
    """A unit of .debug_line, with standard and extended opcodes only."""
    code = b"\0\5\2" + struct.pack("<I", BASE)
    line = 1
    for file, wanted in ROWS:
        # set the file, advance the line (signed: all steps are from 0 to 63), copy, advance the address
        code += b"\4" + leb(file - (version == 5)) + b"\3" + bytes([wanted - line]) + b"\1" + b"\2\2"
        line = wanted
    code += b"\0\1\1"
    if version == 5:
        tables = b"\1\1\x08" + leb(len(FOLDERS) + 1)
        tables += b"".join(folder.encode() + b"\0" for folder in (RAN, *FOLDERS))
        tables += b"\2\1\x08\2\x0b" + leb(len(FILES))
        tables += b"".join(name.encode() + b"\0" + bytes([folder]) for name, folder in FILES)
    else:
        tables = b"".join(folder.encode() + b"\0" for folder in FOLDERS) + b"\0"
        tables += b"".join(name.encode() + b"\0" + leb(folder) + b"\0\0" for name, folder in FILES) + b"\0"
    rest = b"\1\1\1\xfb\x0e\x0d" + bytes([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) + tables
    head = struct.pack("<H", version) + (b"\4\0" if version == 5 else b"") + struct.pack("<I", len(rest))
    return struct.pack("<I", len(head + rest + code)) + head + rest + code


def unit(abbreviation: int, *attributes: int) -> bytes:
    """A unit of .debug_info (DWARF 4) that holds one entry."""
    entry = leb(abbreviation) + b"".join(struct.pack("<I", value) for value in attributes)
    content = struct.pack("<HIB", 4, 0, 4) + entry
    return struct.pack("<I", len(content)) + content


def elf(sections: dict[str, bytes]) -> bytes:
    """A 32-bit ARM ELF file with these sections."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    at, rows, content = 52 + 32, [bytes(40)], b""
    for name, data in {**sections, ".shstrtab": names}.items():
        kind = 3 if name == ".shstrtab" else 1
        title = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(struct.pack("<IIIIIIIIII", title, kind, 0, 0, at + len(content), len(data), 0, 0, 1, 0))
        content += data
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, BASE, 52, at + len(content), 0x05000000, 52, 32, 1, 40, len(rows),
                        len(rows) - 1)  # fmt: skip
    load = struct.pack("<IIIIIIII", 1, at, BASE, BASE, 0, 0, 5, 4)
    return head + load + content + b"".join(rows)


ABBREVIATIONS = b"\1\x11\0\x10\x17\0\0" + b"\2\x11\0\0\0" + b"\0"
"""A unit with a table of lines, and one without."""


@pytest.mark.parametrize("version", [4, 5])
def test_an_address_has_the_line_that_its_unit_says(version: int) -> None:
    info = unit(2) + unit(1, 0)
    code = read_marked_code(elf({".debug_info": info, ".debug_abbrev": ABBREVIATIONS, ".debug_line": program(version)}))
    wanted = [f"{RAN}/{shown}" if version == 5 and shown.startswith("f.c") else shown for shown in SHOWN]
    for number, shown in enumerate(wanted):
        assert code.line(BASE + 2 * number) == code.line(BASE + 2 * number + 1) == shown
    assert code.line(BASE - 1) == ""
    assert code.line(BASE + 2 * len(SHOWN)) == "", "behind the end of the sequence"


def test_an_image_without_debug_information_has_no_lines() -> None:
    assert read_marked_code(elf({".text": bytes(4)})).line(BASE) == ""
