"""The leak scanner against plain, slow readers of the same: one search for each secret, one number at a time."""

from __future__ import annotations

import base64
import gc
import random
import re
from collections.abc import Iterator
from itertools import groupby, pairwise

import numpy as np
import pytest
from tfm_harness.verify.leaks import NOTATIONS, RAW_NOTATIONS, Scanner, Secret, canaries, matching, unwrapped
from tfm_harness.verify.leaks import scanner as scanner_module
from tfm_harness.verify.leaks.bases import base_readings
from tfm_harness.verify.leaks.matching import Index, Window
from tfm_harness.verify.leaks.notations import readings
from tfm_harness.verify.leaks.tokens import DECIMAL, HEX, OCTAL, Bytes, Text

LINES = (
    b"[SPE] boot 1 of this board\n",
    b"tick 1200 value 0x00001f40\r\n",
    b"\n",
    b"00000010: 00 01 02 |...|\n",
    b"a b c ",
)

IN_PARTS = {"half of it in hex", "two words of eight", "Intel hex records", "S-records"}
"""Notations of which 24 bytes never stand together."""


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Borders of blocks, slices and chunks everywhere."""
    monkeypatch.setattr(scanner_module, "_BLOCK", 1 << 12)
    monkeypatch.setattr(scanner_module, "_OVERLAP", 1 << 11)
    monkeypatch.setattr(scanner_module, "_SLICE", 1 << 12)
    monkeypatch.setattr(scanner_module, "_BATCH", 1 << 12)
    monkeypatch.setattr(matching, "_CHUNK", 1 << 8)
    monkeypatch.setattr(unwrapped, "_CHUNK", 1 << 8)
    monkeypatch.setattr(unwrapped, "_MOST", 1 << 10)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("text", [True, False], ids=["text", "memory"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.nightly) for n in range(1, 4))])
def test_exactly_what_a_search_for_each_secret_finds_is_found(seed: int, text: bool) -> None:
    """Every notation at a random place, one a secret; as many secrets again stand nowhere. Other places at night."""
    rng = random.Random(seed)
    written = NOTATIONS if text else RAW_NOTATIONS
    secrets = {f"{name} {copy}": canaries._canary(rng) for name in written for copy in (0, 1)}
    data = bytearray()
    for name in rng.sample(sorted(written), len(written)):
        data += b"".join(rng.choices(LINES, k=rng.randrange(12))) if text else rng.randbytes(rng.randrange(600))
        shown = written[name](secrets[f"{name} 0"])
        data += b"\n" + shown + b"\n" if text else shown + bytes(8)
    searched = bytes(data)
    places = {name: searched.find(written[name[:-2]](secret)) for name, secret in secrets.items()}
    expected = {name for name, place in places.items() if place >= 0}
    assert expected == {f"{name} 0" for name in written}
    found = Scanner([Secret(name=name, data=secret) for name, secret in secrets.items()]).scan(searched, text=text)
    assert {leak.secret for leak in found} == expected
    for name in expected:
        begin, end = places[name] - 8, places[name] + len(written[name[:-2]](secrets[name]))
        assert any(begin <= leak.at <= end for leak in found if leak.secret == name), name


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("border", [1 << 12, pytest.param(2 << 12, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("notation", sorted(set(NOTATIONS) - IN_PARTS))
def test_what_lies_over_a_border_is_found_as_one(notation: str, border: int) -> None:
    """24 bytes have to be found together: halves on both sides are not enough. One border, and another one at night."""
    rng = random.Random(notation)
    secret = canaries._canary(rng)
    scanner = Scanner([Secret(name="key", data=secret, window=24, step=1)])
    shown = NOTATIONS[notation](secret)
    filler = b"[SPE] boot of this board, it is up since power on\n" * 400
    for before in (rng.randrange(len(shown)), len(shown) // 2):
        start = border - before
        text = filler[: start - 1] + b"\n" + shown + b"\n" + filler[:5000]
        assert any(start - 8 <= leak.at <= start + len(shown) for leak in scanner.scan(text)), before


def plain(stream: bytes, windows: list[Window]) -> set[tuple[int, str]]:
    """Secrets and forms of which a window stands in a stream: each is compared at each place."""
    found = set()
    for window in windows:
        wanted = window.data[window.at : window.at + window.size]
        for at in range(len(stream) - window.size + 1):
            constants = {a ^ b for a, b in zip(stream[at : at + window.size], wanted, strict=True)}
            if len(constants) > 1:
                continue
            (constant,) = constants
            first, behind = at, at + window.size
            while (
                first > max(0, at - window.at)
                and stream[first - 1] ^ constant == window.data[window.at - at + first - 1]
            ):
                first -= 1
            most = min(len(stream), at + len(window.data) - window.at)
            while behind < most and stream[behind] ^ constant == window.data[window.at - at + behind]:
                behind += 1
            if constant in {0, 0x80, 0xFF} or (window.disguised and behind - first >= 12):
                found.add((window.secret, window.form))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_windows_are_found_where_each_is_compared_at_each_place(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of few different bytes, so that much is nearly a window, with pieces of secrets of any length in them."""
    monkeypatch.setattr(matching, "_CHUNK", 1 << 5)
    rng = random.Random(seed)
    alphabet = rng.randbytes(rng.choice((2, 5, 256)))
    windows = []
    for secret in range(4):
        data = bytes(rng.choices(alphabet, k=rng.randrange(8, 40)))
        size = rng.randrange(8, min(len(data), 17) + 1)
        windows += [
            Window(secret, rng.choice(("", "reversed")), data, at, size, rng.random() < 0.5)
            for at in range(0, len(data) - size + 1, 4)
        ]
    streams = []
    for _ in range(rng.randrange(1, 6)):
        stream = bytearray()
        for _ in range(rng.randrange(6)):
            data = rng.choice(windows).data
            begin = rng.randrange(len(data))
            piece = data[begin : begin + rng.randrange(30)]
            constant = rng.choice((0, 0, 0x80, 0xFF, rng.randrange(256)))
            stream += bytes(rng.choices(alphabet, k=rng.randrange(9))) + bytes(byte ^ constant for byte in piece)
        streams.append(bytes(stream))
    found: list[set[tuple[int, str]]] = [set() for _ in streams]
    arrays = [np.frombuffer(stream, np.uint8) for stream in streams]
    for number, window, at, constant in Index(windows).find_all(arrays):
        shown = bytes(byte ^ constant for byte in streams[number][at : at + window.size])
        assert shown == window.data[window.at : window.at + window.size]
        assert (window.secret, window.form) not in found[number]
        found[number].add((window.secret, window.form))
    assert found == [plain(stream, windows) for stream in streams]


NUMBER = re.compile(rb"[0-9A-Za-z]+")
DIGITS = {HEX: b"0123456789abcdefABCDEF", DECIMAL: b"0123456789", OCTAL: b"01234567"}


def numbers(text: bytes, kind: int) -> Iterator[tuple[int, int, bool, bool]]:
    """Start, length, whether 0x and whether a minus stands before it: each number of a text, one after the other."""
    for found in NUMBER.finditer(text):
        start, end = found.span()
        negative = text[start - 1 : start] == b"-" and not text[max(start - 2, 0) : start - 1].isalnum()
        prefixed = kind == HEX and end - start > 2 and text[start : start + 2].lower() == b"0x"
        start += 2 * prefixed
        for _ in range(3):
            if end - start > 1 and text[end - 1] in b"uUlLhH":
                # A zero stands before an assembler's number, as in 0C9h.
                assembler = text[end - 1] in b"hH" and text[start] == 0x30 and text[start + 1] in DIGITS[HEX]
                start += assembler and (end - start) % 2 == 0
                end -= 1
        if all(character in DIGITS[kind] for character in text[start:end]):
            yield start, end - start, prefixed, negative


def uniform(lengths: list[int], first: list[bool]) -> list[bool]:
    """Which numbers are in the longest runs of one length of their lines, where those are of two numbers at least."""
    lines: list[list[int]] = []
    for length, begins in zip(lengths, first, strict=True):
        lines += [[]] if begins else []
        lines[-1].append(length)
    found: list[bool] = []
    for line in lines:
        runs = [len(list(run)) for _, run in groupby(line)]
        found += [run == max(runs) and run > 1 for run in runs for _ in range(run)]
    return found


@pytest.mark.parametrize(
    "alphabet", [b"0x1fFu\\ \n-", b"0123456789abcdefghxXuULlHh ,\n-", bytes(range(256)), b"0hHxu1 -"]
)
def test_numbers_are_those_that_one_reads_after_the_other(alphabet: bytes) -> None:
    rng = random.Random(alphabet)
    for size in (*range(12), *(rng.randrange(400) for _ in range(200))):
        text = bytes(rng.choices(alphabet, k=size))
        block = Text(text)
        for kind in DIGITS:
            found = block.numbers() if kind == HEX else block.numbers().of(kind)
            some = zip(found.start, found.length, found.prefixed, found.negative, strict=True)
            assert [(int(a), int(b), bool(c), bool(d)) for a, b, c, d in some] == list(numbers(text, kind)), text
            lines = [
                re.search(rb"[\r\n]", text[int(one) : int(other)]) is not None for one, other in pairwise(found.start)
            ]
            assert found.first.tolist() == [True, *lines][: len(found)]
            letters = [re.search(rb"[g-zG-Z]", re.split(rb"[\r\n]", text[int(at) :])[0]) is None for at in found.start]
            assert found.behind.tolist() == letters
            assert found.uniform.tolist() == uniform(found.length.tolist(), found.first.tolist())


def streams(text: bytes, notation: str) -> list[Bytes]:
    return [reading.data for reading in base_readings(Text(text)) if reading.notation == notation]


@pytest.mark.parametrize("seed", range(20))
def test_base64_and_base32_are_read_from_each_character(seed: int) -> None:
    """Each stream is what the standard library decodes of several pieces from one character of each on."""
    rng = random.Random(seed)
    for notation, alphabet, group in (("base64", b"AZaz09+/", 4), ("base32", b"ABCXYZ234567", 8)):
        pieces = [bytes(rng.choices(alphabet, k=rng.randrange(13, 60))) + b"A" for _ in range(rng.randrange(1, 5))]
        decode = base64.b64decode if group == 4 else base64.b32decode
        found = streams(b" . ".join(pieces), notation)
        assert len(found) == group
        for shift, stream in enumerate(found):
            whole = [piece[shift : shift + (len(piece) - shift) // group * group] for piece in pieces]
            assert stream.tobytes() == b"".join(map(decode, whole)), pieces


@pytest.mark.parametrize("seed", range(10))
def test_every_reading_knows_its_places(seed: int) -> None:
    """As many as it has bytes, all inside of the text: most are worked out only when something is found."""
    rng = random.Random(seed)
    written = rng.sample(sorted(NOTATIONS), 12)
    text = b" ".join(NOTATIONS[name](rng.randbytes(32)) + rng.choice((b"\n", b" ")) for name in written)
    for reading in readings(text):
        places = reading.places_of(np.arange(len(reading.data)))
        known = len(reading.places) * reading.width  # type: ignore[arg-type]
        assert 0 <= known - len(reading.data) <= 1, reading.notation  # one: a digit that is left over
        assert ((places >= 0) & (places < len(text))).all()


@pytest.mark.parametrize("text", [True, False])
def test_a_search_leaves_nothing_behind(text: bool) -> None:
    """What is made of a block is freed with it, not when the garbage collector comes: it is many times the block."""
    rng = random.Random(1)
    scanner = Scanner([Secret(name="key", data=rng.randbytes(32))])
    searched = b"\n".join(write(rng.randbytes(32)) for write in NOTATIONS.values()) + rng.randbytes(9000)
    scanner.scan(searched, text=text)
    gc.collect()
    gc.disable()
    try:
        scanner.scan(searched, text=text)
        assert gc.collect() == 0
    finally:
        gc.enable()
