"""The leak scanner on ways to write bytes that no single notation of its tables holds whole."""

from __future__ import annotations

import base64
import gzip
import random
import struct
import zlib

import numpy as np
import pytest
from tfm_harness.verify.leaks import NOTATIONS, Scanner, Secret, wrappings
from tfm_harness.verify.leaks.columns import Choice
from tfm_harness.verify.leaks.wrappings import inflated, printable, unmarked, written_out

SECRET = random.Random(5).randbytes(32)
LOG = b"[SPE] boot 1 of this board since power on\n[SPE] OTP ok, lifecycle 00003000\n"


def is_found(secret: bytes, written: bytes) -> bool:
    """Whether the scanner finds the secret in a log that holds this."""
    return bool(Scanner([Secret(name="key", data=secret)]).scan(LOG + written + b"\n" + LOG))


@pytest.mark.parametrize("first", ["$1 = {", "k of 'A' = {", "{", ""])
@pytest.mark.parametrize("letters", [False, True])
def test_numbers_with_their_characters_are_read_however_short_they_are(first: str, letters: bool) -> None:
    """As gdb prints an array of char: the character is no number, in octal digits or as a letter."""
    secret = bytearray(byte | 0x80 for byte in SECRET)
    every = 3 if letters else 2
    secret[::every] = bytes(1 + byte % 9 for byte in secret[::every])
    if letters:  # then not each second number is a byte
        secret[1::3] = b"qwrtyuiopsg"
    shown = [
        f"{byte} '{chr(byte)}'" if chr(byte).isalpha() and byte < 0x80 else f"{byte} '\\{byte:03o}'" for byte in secret
    ]
    assert is_found(bytes(secret), f"{first}{', '.join(shown)}".encode())


def test_octal_escapes_between_letters_are_read() -> None:
    """As a string in C: what is a letter stands as it is."""
    secret = bytes(0x61 + byte % 26 if at % 2 else byte | 0x80 for at, byte in enumerate(SECRET))
    written = "".join(chr(byte) if byte < 0x80 else f"\\{byte:03o}" for byte in secret)
    assert is_found(secret, f'key = "{written}"'.encode())


@pytest.mark.parametrize(("code", "digits"), [("<H", 6), ("<I", 11), (">H", 6), (">I", 11)])
def test_a_few_octal_words_are_read(code: str, digits: int) -> None:
    """As od shows them with -t o2 and -t o4: sixteen bytes are a row of them."""
    words = [word for (word,) in struct.iter_unpack(code, SECRET[:16])]
    assert is_found(SECRET[:16], " ".join(f"{word:0{digits}o}" for word in words).encode())


@pytest.mark.parametrize("first", [0x80, 0xC0])
def test_latin_1_of_one_leading_byte_is_read(first: int) -> None:
    """In UTF-8 the bytes from 80 to bf begin with c2, those from c0 on with c3."""
    secret = bytes(first | byte & 0x3F for byte in SECRET)
    written = NOTATIONS["Latin-1 as UTF-8"](secret)
    assert len(set(written[::2])) == 1
    assert is_found(secret, written)


@pytest.mark.parametrize(("apart", "read"), [(2048, True), (2049, False)])
def test_marks_of_digits_are_taken_out_where_two_stand_near_each_other(apart: int, read: bool) -> None:
    """A mark alone stands in many logs, and would cost a reading of all of them."""
    text = b"\\x41".ljust(apart, b".") + b"\\x42"
    assert unmarked(text) == ((text.replace(b"\\x", b"  "), True) if read else None)


@pytest.mark.parametrize("form", ["{:08x}", "{:08X}", "{:#x}", "{:#010x}"])
@pytest.mark.parametrize("size", [5, 8])
def test_two_words_that_do_not_follow_each_other_are_read(size: int, form: str) -> None:
    """As functions print them of which each shows one; 0x is before words without their leading zeros."""
    one, other = (word | 1 << 4 * size - 1 & 0xFFFFFFFF for word in struct.unpack("<5I", SECRET[:20])[::4])
    one, other = (word & (1 << 4 * size) - 1 for word in (one, other))
    secret = struct.pack("<I", one) + SECRET[4:16] + struct.pack("<I", other) + SECRET[20:]
    written = f"read {form.format(one)} of 8, then 17 more, retry: {form.format(other)} after 3"
    assert is_found(secret, written.encode())
    assert not is_found(secret, written.replace(form.format(other), form.format(other ^ 1)).encode())


def compressed(*sizes: int) -> bytes:
    """A stream of each size."""
    return b"".join(zlib.compress(bytes(size)) for size in sizes)


@pytest.mark.parametrize(("sizes", "read"), [((8, 11, 9), 3), ((8, 12, 9), 2), ((20, 9), 1), ((19, 9), 2)])
def test_streams_are_read_until_their_content_is_too_much(
    sizes: tuple[int, ...], read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrappings, "_MOST", 20)
    found = list(inflated(np.frombuffer(compressed(*sizes), np.uint8)))
    assert [content for _, content in found] == [bytes(size) for size in sizes[:read]]


@pytest.mark.parametrize("before", [b"\x1f\x8b\0", b"\x1f\0\x08", b"\0\x8b\x08", b"\x1f\x8b", b"\x78\0", b"\0\x9c"])
def test_what_begins_like_no_stream_is_none(before: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many are tried."""
    monkeypatch.setattr(wrappings, "_MOST_STREAMS", 1)
    data = before + gzip.compress(SECRET, mtime=0)
    assert list(inflated(np.frombuffer(data, np.uint8))) == [(len(before), SECRET)]


def test_characters_of_a_text() -> None:
    """Those of ASCII that are shown, and what begins another column or line."""
    shown = printable(np.arange(256, dtype=np.uint8))
    assert set(np.flatnonzero(shown)) == {*range(0x20, 0x7F), *b"\t\r\n"}


def test_each_second_byte_of_memory_is_read_from_its_first() -> None:
    memory = b"".join(bytes([byte, 0]) for byte in SECRET)
    leaks = Scanner([Secret(name="key", data=SECRET)]).scan(memory, text=False)
    assert min(leak.at for leak in leaks) == 0


@pytest.mark.parametrize(("between", "read"), [(0, True), (6, True), (7, False), (20, False)])
def test_a_few_escaped_characters_are_no_notation_unless_three_are_near(between: int, read: bool) -> None:
    text = b"x" * 40 + (b"." * between).join([b"%41", b"%42", b"%43"]) + b"y" * 40
    found = [data for name, data, _ in written_out(text) if name == "percent encoding"]
    assert [b"A" + b"." * between + b"B" in data for data in found] == ([True] if read else [])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_character_in_each_line_of_a_dump_is_read(end: str) -> None:
    """As od -c -w1 shows a file, on a terminal too."""
    secret = bytes(0x67 + byte % 20 for byte in SECRET)
    lines = [f"{at:07o}   {chr(byte)}" for at, byte in enumerate(secret)]
    assert is_found(secret, end.join(lines).encode() + end.encode())


def test_a_choice_takes_numbers_by_their_bits_or_in_another_order() -> None:
    bits = np.array([0, 1, 3, 2], np.uint8)
    assert np.flatnonzero(Choice("", 1).taken(bits)).tolist() == [1, 2]
    assert np.asarray(Choice("", 0, np.array([2, 0])).taken(bits)).tolist() == [2, 0]


def test_only_what_stands_near_marks_is_left_and_keeps_its_place() -> None:
    """Of a long text; all else is blanks."""
    text = b"-" * 20_000 + b"\\x41\\x42" + b"-" * 20_000
    assert unmarked(text) == (text[15_904:24_100].replace(b"\\x", b"  ").rjust(24_100).ljust(len(text)), False)


@pytest.mark.parametrize("rest", range(1, 4))
def test_base64_in_groups_goes_on_in_a_shorter_one(rest: int) -> None:
    """Three groups of four are six bytes and three, less than what is looked for."""
    written = base64.b64encode(SECRET)[: 8 + 4 + rest]
    groups = b" ".join(written[at : at + 4] for at in range(0, len(written), 4))
    assert is_found(SECRET, groups) == (len(written) * 6 // 8 >= 8)
