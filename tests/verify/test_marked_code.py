"""Which instructions are left out, and where the CPU goes on."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from tfm_harness.errors import ProductError
from tfm_harness.verify.elf import Segment
from tfm_harness.verify.instruction_skips import Skip, after, evenly, plan
from tfm_harness.verify.marked_code import Instruction, MarkedCode, is_wide, read_marked_code

BASE = 0x10000100
# nop; cmp r0, #0; it eq; moveq r0, #1; bl .; pop {pc}; a literal; and a function of its own behind it
CODE = bytes.fromhex("00bf 0028 08bf 0120 fff7feff 00bd 000000f0 7047".replace(" ", ""))
SYMBOLS = (
    ("$t", BASE, 0, 0),
    ("decide", BASE | 1, 18, 2),
    ("$d", BASE + 14, 0, 0),
    ("$t", BASE + 18, 0, 0),
    ("entry", BASE + 18 | 1, 0, 2),  # as ld leaves a secure entry function: without a size
)


def elf(code: bytes, symbols: Sequence[tuple[str, int, int, int]], *, section: str = ".decisions") -> bytes:
    """A 32-bit ARM ELF file with one section of code and a table of symbols."""
    names = b"\0" + b"\0".join(name.encode() for name in (section, ".symtab", ".strtab", ".shstrtab")) + b"\0"
    texts, table = b"\0", struct.pack("<IIIBBH", 0, 0, 0, 0, 0, 0)
    for name, value, size, kind in symbols:
        table += struct.pack("<IIIBBH", len(texts), value, size, kind, 0, 1)
        texts += name.encode() + b"\0"
    at = 52 + 32
    parts, rows = [code, table, texts, names], []
    for number, (part, kind) in enumerate(zip(parts, (1, 2, 3, 3), strict=True)):
        title = names.index((section, ".symtab", ".strtab", ".shstrtab")[number].encode())
        address, flags = (BASE, 6) if number == 0 else (0, 0)
        link, info, entry = (3, len(symbols) + 1, 16) if number == 1 else (0, 0, 0)
        rows.append(struct.pack("<IIIIIIIIII", title, kind, flags, address, at, len(part), link, info, 4, entry))
        at += len(part)
    program = struct.pack("<IIIIIIII", 1, 84, BASE, BASE, len(code), len(code), 5, 4)
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, BASE, 52, at, 0x05000000, 52, 32, 1, 40, 5, 4)
    return head + program + b"".join(parts) + bytes(40) + b"".join(rows)


@pytest.fixture
def code() -> MarkedCode:
    return read_marked_code(elf(CODE, SYMBOLS))


def test_instructions_have_their_lengths_and_literals_are_none(code: MarkedCode) -> None:
    assert code.functions == ("decide", "entry")
    sizes = {one.address - BASE: one.size for one in code.instructions.values()}
    assert sizes == {0: 2, 2: 2, 4: 2, 6: 2, 8: 4, 12: 2, 18: 2}
    codes = [one.code for one in code.instructions.values()]
    assert codes == [0xBF00_0000, 0x2800_0000, 0xBF08_0000, 0x2001_0000, 0xF7FF_FFFE, 0xBD00_0000, 0x4770_0000]
    assert [one.address - BASE for one in code.instructions.values() if one.decides] == [2, 4, 8, 12, 18]
    assert code.instructions[BASE + 18].function == "entry"
    assert code.symbols == {"decide": BASE, "entry": BASE + 18}


def test_a_wide_instruction_has_nothing_of_the_next_one() -> None:
    """bl; pop {r4, pc}"""
    found = read_marked_code(elf(bytes.fromhex("00f000f8 10bd"), (("$t", BASE, 0, 0), ("decide", BASE | 1, 6, 2))))
    assert [one.code for one in found.instructions.values()] == [0xF000_F800, 0xBD10_0000]


@pytest.mark.parametrize(("at", "size"), [(-1, 2), (0, 2), (2, 2), (3, 2), (4, 4), (6, 2), (7, 2), (8, 2)])
def test_an_instruction_has_its_size_in_whichever_segment_it_is(at: int, size: int) -> None:
    """Two segments one behind the other, of which the second begins with a long instruction."""
    segments = (Segment(BASE, bytes.fromhex("00bf 00bf")), Segment(BASE + 4, bytes.fromhex("00f00080")))
    assert MarkedCode((), {}, {}, segments, b"").size_at(BASE + at) == size


def test_the_order_of_the_symbols_says_nothing(code: MarkedCode) -> None:
    for order in (SYMBOLS[::-1], SYMBOLS[2:] + SYMBOLS[:2], SYMBOLS[3:] + SYMBOLS[:3]):
        assert read_marked_code(elf(CODE, order)).instructions == code.instructions


@pytest.mark.parametrize(("name", "data"), [("$d", True), ("$d.1", True), ("$data", False), ("$dx", False)])
def test_only_mapping_symbols_say_where_data_begins(name: str, data: bool) -> None:
    """ELF for the Arm Architecture, 5.5.5: $d, or $d and a dot."""
    symbols = (("$t", BASE, 0, 0), ("decide", BASE | 1, 6, 2), (name, BASE + 4, 0, 0))
    assert len(read_marked_code(elf(CODE, symbols)).instructions) == (2 if data else 3)


def test_functions_are_chosen_by_name_too() -> None:
    data = elf(CODE, SYMBOLS, section=".text")
    assert read_marked_code(data).functions == ()
    assert read_marked_code(data, names=["decide", "unknown"]).functions == ("decide",)


@pytest.mark.parametrize("halfword", [0xE800, 0xF000, 0xF800, 0xFFFF])
def test_wide(halfword: int) -> None:
    assert is_wide(halfword)
    assert not is_wide(halfword & 0xE7FF)


DECIDING = {
    "b<cond>": (0xD000, 0xD0FF, 0xDBFE), "b": (0xE000, 0xE7FE), "cbz, cbnz": (0xB100, 0xB107, 0xB3FF, 0xB900, 0xBBF8),
    "pop with the pc": (0xBD00, 0xBDF0), "bx, blx": (0x4770, 0x47A0), "cmp": (0x2800, 0x2FFF, 0x4280, 0x42BF, 0x4500),
    "tst": (0x4200, 0x423F), "it": (0xBF08, 0xBF01),
}  # fmt: skip
PLAIN = (0xBF00, 0xBF10, 0xBC10, 0x2000, 0x3001, 0x4600, 0x4240, 0x43C0, 0xB500, 0xB001, 0x6800, 0xC000, 0x1C00, 0xB200)
WIDE = (0xF000F800, 0xF7FFFFFE, 0xF0009000, 0xE8BD8010, 0xF1B00F00, 0xF1100F01, 0xF0100F01, 0xEBB00F01, 0xEA100F01)
WIDE_PLAIN = (0xE8BD0010, 0xF0000001, 0xF1000001, 0xEB000001, 0xEA000001, 0xF8D08000, 0xE92D8010, 0xF2400001)


@pytest.mark.parametrize("code", [code for codes in DECIDING.values() for code in codes])
def test_short_instructions_that_decide(code: int) -> None:
    """ARM DDI 0553 (Armv8-M), encodings T1 and T2."""
    assert Instruction(0, 2, code << 16, "f").decides


@pytest.mark.parametrize("code", PLAIN)
def test_short_instructions_that_do_not(code: int) -> None:
    assert not Instruction(0, 2, code << 16, "f").decides


@pytest.mark.parametrize("code", WIDE)
def test_wide_instructions_that_decide(code: int) -> None:
    assert Instruction(0, 4, code, "f").decides


@pytest.mark.parametrize("code", WIDE_PLAIN)
def test_wide_instructions_that_do_not(code: int) -> None:
    assert not Instruction(0, 4, code, "f").decides


def every_short_one_that_decides() -> set[int]:
    """From the encodings' fields (ARM DDI 0553, C2.4)."""
    found = {0xD000 | rest for rest in range(1 << 12)} | {0xE000 | rest for rest in range(1 << 11)}
    found |= {0xB100 | op << 11 | i << 9 | rest for op in (0, 1) for i in (0, 1) for rest in range(1 << 8)}
    found |= {0xBD00 | rest for rest in range(1 << 8)} | {0x4700 | rest for rest in range(1 << 8)}
    found |= {0x4500 | rest for rest in range(1 << 8)} | {0x2800 | rest for rest in range(1 << 11)}
    found |= {0x4280 | rest for rest in range(1 << 6)} | {0x4200 | rest for rest in range(1 << 6)}
    return found | {0xBF00 | condition << 4 | mask for condition in range(16) for mask in range(1, 16)}


def test_all_short_instructions_that_decide_and_no_others() -> None:
    """Every first byte, with second bytes that have each bit set and clear."""
    deciding = every_short_one_that_decides()
    codes = {high << 8 | low for high in range(256) for low in (0, 1, 2, 4, 8, 16, 32, 64, 128, 0x3F, 0x7F, 0xFE, 0xFF)}
    found = {code for code in codes if not is_wide(code) and Instruction(0, 2, code << 16, "f").decides}
    assert found == codes & deciding


@pytest.mark.parametrize(
    ("first", "second", "free"),
    [
        (0xF000, 0x8000, 0x07FF_7FFF),  # B.W, BL: any offset
        (0xE8BD, 0x8000, 0x0000_7FFF),  # POP.W with the PC: any other registers
        (0xF1B0, 0x0F00, 0x040F_70FF),  # CMP, CMN, TST of any register with any constant
        (0xF110, 0x0F00, 0x040F_70FF),
        (0xF010, 0x0F00, 0x040F_70FF),
        (0xEBB0, 0x0F00, 0x000F_70FF),  # CMP, TST of any two registers
        (0xEA10, 0x0F00, 0x000F_70FF),
    ],
)
def test_wide_instructions_decide_whatever_their_free_bits_are(first: int, second: int, free: int) -> None:
    code = first << 16 | second
    for bit in range(32):
        if free >> bit & 1:
            assert Instruction(0, 4, code | 1 << bit, "f").decides, f"{code | 1 << bit:#x}"
    assert Instruction(0, 4, code | free, "f").decides


def test_what_is_no_elf_file_is_named() -> None:
    for data in (b"", b"\x7fELF", bytes(100), elf(CODE, SYMBOLS)[:200]):
        with pytest.raises(ProductError) as caught:
            read_marked_code(data)
        assert caught.value.kind == "elf"


@pytest.mark.parametrize(
    ("skip", "it", "place", "left"),
    [
        (Skip(BASE, 1), 0, 2, 0),
        (Skip(BASE + 6, 2), 0, 12, 0),  # a 16-bit and a 32-bit instruction
        (Skip(BASE + 4, 1), 0, 6, 0),  # IT itself: no block
        (Skip(BASE + 6, 1), 0b0000_1000, 8, 0),  # the only one of its block
        (Skip(BASE + 6, 1), 0b0001_0111, 8, 0b0000_1110),  # ITTT-like: the rest stays in the block
        (Skip(BASE + 6, 2), 0b1010_0110, 12, 0b1011_1000),
    ],
)
def test_the_cpu_goes_on_behind_the_skip(code: MarkedCode, skip: Skip, it: int, place: int, left: int) -> None:
    flags = 0x61000000

    def xpsr(state: int) -> int:
        return flags | (state & 3) << 25 | (state >> 2) << 10

    assert after(skip, xpsr(it), code) == (BASE + place, xpsr(left))


def test_every_reached_instruction_is_left_out_alone_and_with_the_next(code: MarkedCode) -> None:
    planned = plan(code, {BASE: 1, BASE + 6: 5, BASE + 12: 2, 0x20000000: 9})
    assert planned == [
        *(Skip(BASE, count) for count in (1, 2)),
        *(Skip(BASE + 6, count, visit) for count in (1, 2) for visit in (1, 2, 5)),
        *(Skip(BASE + 12, count, visit) for count in (1, 2) for visit in (1, 2)),
    ]


def test_a_sample_is_spread_and_bounded(code: MarkedCode) -> None:
    every = plan(code, dict.fromkeys(code.instructions, 9))
    for most in range(1, len(every) + 3):
        chosen = evenly(every, code, most)
        assert len(chosen) == len(set(chosen)) == min(most, len(every))
        assert set(chosen) <= set(every)
    assert {skip.address for skip in evenly(every, code, 12)} >= {BASE + 2, BASE + 8, BASE + 12}
