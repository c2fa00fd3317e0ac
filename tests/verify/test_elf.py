"""The gateways of a secure image, read from its section of stubs."""

from __future__ import annotations

import contextlib
import struct

import pytest
from tfm_harness.verify import ElfError, gateways

SG = bytes.fromhex("7fe97fe9")
STUB = SG + bytes.fromhex("91f750bb")


def elf(content: bytes, *, name: bytes = b".gnu.sgstubs", kind: int = 1, address: int = 0x10070000) -> bytes:
    """An ELF file of three sections: none, names, and the one with `content`."""
    names = b"\0.shstrtab\0" + name + b"\0"
    at = 52
    body = names + content
    table = at + len(body)
    header = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, 0, 0, table, 0, 52, 32, 0, 40, 3, 1
    )  # fmt: skip
    sections = bytes(40)
    sections += struct.pack("<10I", 1, 3, 0, 0, at, len(names), 0, 0, 1, 0)
    sections += struct.pack("<10I", 11, kind, 6, address, at + len(names), len(content), 0, 0, 32, 0)
    return header + body + sections


def test_each_stub_that_begins_with_sg_is_a_gateway() -> None:
    content = STUB * 3 + bytes(8) + STUB + b"\0" * 4
    assert gateways(elf(content)) == [0x10070000, 0x10070008, 0x10070010, 0x10070020]


@pytest.mark.parametrize(
    "data", [elf(STUB, name=b".text"), elf(STUB, name=b".gnu.sgstubs2"), elf(STUB, kind=8), elf(b"")]
)
def test_no_such_section_has_no_gateways(data: bytes) -> None:
    assert gateways(data) == []


def test_what_is_no_elf_file_or_is_cut_off_is_refused() -> None:
    whole = elf(STUB * 3)
    for data in (b"", b"\x7fELF", whole[:40], whole[:-1], b"\x7fELF\x02" + whole[5:]):
        with pytest.raises(ElfError):
            gateways(data)
    broken = bytearray(whole)
    struct.pack_into("<I", broken, len(whole) - 40 + 20, 1 << 20)  # size of the section
    with pytest.raises(ElfError, match="sgstubs"):
        gateways(bytes(broken))


def test_any_damage_ends_in_an_error_or_a_list() -> None:
    whole = elf(STUB * 3)
    for at in range(len(whole)):
        for value in (0, 0xFF, whole[at] ^ 1):
            with contextlib.suppress(ElfError):
                assert isinstance(gateways(whole[:at] + bytes([value]) + whole[at + 1 :]), list)
