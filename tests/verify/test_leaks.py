"""The leak scanner: every notation of a secret is found, and nothing is found where no secret is."""

from __future__ import annotations

import base64
import random
import struct

import pytest
from tfm_harness.verify.leaks import Leak, SampleValues, Scanner, Secret, samples_in

KEY = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # RFC 6979 A.2.5, public
HALF = KEY[8:24]
LOG = b"[SPE] boot 1 of this board since power on\n[SPE] OTP ok, lifecycle 00003000\n"


def c_words(data: bytes, order: str, *, pad: bool = True) -> str:
    numbers = struct.unpack(f"{order}{len(data) // 4}I", data)
    return ", ".join(f"0x{n:08x}" if pad else f"0x{n:x}" for n in numbers)


def dump(data: bytes, *, width: int = 1, offset: str = "{:08x}: ", gutter: bool = True) -> str:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        groups = " ".join(row[k : k + width].hex() for k in range(0, len(row), width))
        shown = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(offset.format(at) + groups + (f"  |{shown}|" if gutter else ""))
    return "\n".join(lines)


NOTATIONS = {
    "hex": KEY.hex(),
    "hex upper": KEY.hex().upper(),
    "hex half": HALF.hex(),
    "hex glued to a word": f"key{KEY.hex()}x",
    "hex with spaces": KEY.hex(" "),
    "hex with colons": KEY.hex(":"),
    "hex in pairs": KEY.hex(" ", 2),
    "hex in fours": KEY.hex("_", 4),
    "hex in fives": KEY.hex("-", 5),
    "hex over lines": "\n".join(KEY.hex()[at : at + 24] for at in range(0, 64, 24)),
    "C bytes": ", ".join(f"0x{b:02x}" for b in KEY),
    "C bytes without zeros": ", ".join(f"{b:#x}" for b in KEY),
    "C bytes with suffix": ", ".join(f"0x{b:02X}U" for b in KEY),
    "C words": c_words(KEY, ">"),
    "C words little endian": c_words(KEY, "<"),
    "C words without zeros": c_words(KEY, "<", pad=False),
    "words in lines": "\n".join(f"key {w}" for w in c_words(KEY, ">").split(", ")),
    "C array with index": "\n".join(f"k[{n}] = {w};" for n, w in enumerate(c_words(KEY, "<").split(", "))),
    "two words of eight": f"r0={KEY[:4].hex()} sp=30001ff0 r1={KEY[12:16].hex()}",
    "registers": "\n".join(f"r{n}: {KEY[4 * n : 4 * n + 4].hex()} pc: 1000{n:04x}" for n in range(8)),
    "bytes with index": "\n".join(f"[{n:02d}] {b:02x}" for n, b in enumerate(KEY)),
    "python": repr(KEY),
    "escapes": "".join(f"\\x{b:02x}" for b in KEY),
    "octal escapes": "".join(f"\\{b:03o}" for b in KEY),
    "hexdump -C": dump(KEY),
    "dump in words": dump(KEY, width=4, gutter=False),
    "dump in halves": dump(KEY, width=2, offset="{:04x}: "),
    "dump, offset without colon": dump(KEY, width=2, offset="{:06x} "),
    "base64": base64.b64encode(KEY).decode(),
    "base64 of more": base64.b64encode(b"x" + KEY + b"yz").decode(),
    "base64url": base64.urlsafe_b64encode(KEY).decode().rstrip("="),
    "base32": base64.b32encode(KEY).decode(),
    "percent": "".join(f"%{b:02X}" for b in KEY),
    "decimal": ", ".join(str(b) for b in KEY),
    "signed decimal": " ".join(str(b - 256 if b > 127 else b) for b in KEY),
    "decimal one in a line": "\n".join(f"{n}: {b}" for n, b in enumerate(KEY)),
    "decimal words": " ".join(str(n) for n in struct.unpack("<8I", KEY)),
    "signed decimal words": " ".join(str(n) for n in struct.unpack(">8i", KEY)),
    "decimal halves": " ".join(str(n) for n in struct.unpack("<16H", KEY)),
    "decimal quads": " ".join(str(n) for n in struct.unpack("<4Q", KEY)),
    "binary": " ".join(f"{b:08b}" for b in KEY),
    "reversed hex": KEY[::-1].hex(),
    "reversed base64": base64.b64encode(KEY[::-1]).decode(),
    "swapped halves": b"".join(KEY[at : at + 2][::-1] for at in range(0, 32, 2)).hex(),
    "inverted": bytes(b ^ 0xFF for b in KEY).hex(),
    "JSON": '{"k":[' + ",".join(str(b) for b in KEY) + "]}",
}


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner([Secret(name="key", data=KEY)])


@pytest.mark.parametrize("notation", NOTATIONS)
def test_every_notation_is_found(scanner: Scanner, notation: str) -> None:
    text = LOG + NOTATIONS[notation].encode() + b"\n" + LOG
    leaks = scanner.scan(text)
    assert leaks, text
    assert any(len(LOG) - 8 <= leak.at <= len(LOG) + len(NOTATIONS[notation]) for leak in leaks), leaks


@pytest.mark.parametrize("shift", range(5))
@pytest.mark.parametrize("part", [KEY, HALF, KEY[::-1], KEY[1:12], bytes(b ^ 0xFF for b in KEY)])
def test_memory_is_searched_at_every_alignment(scanner: Scanner, part: bytes, shift: int) -> None:
    rng = random.Random(shift)
    memory = bytes(100_000) + rng.randbytes(5000 + shift) + part + rng.randbytes(5000) + bytes(100_000)
    (leak, *_) = scanner.scan(memory, text=False)
    assert leak.secret == "key"
    assert 105_000 + shift <= leak.at < 105_000 + shift + len(part)


def test_text_in_memory_is_read_as_text(scanner: Scanner) -> None:
    line = f"key {c_words(KEY, '<')}".encode()
    memory = bytes(5000) + line + bytes(5000)
    (leak, *_) = scanner.scan(memory, text=False)
    assert 5000 <= leak.at < 5000 + len(line)


def test_nothing_is_found_where_nothing_is(scanner: Scanner) -> None:
    rng = random.Random(7)
    noise = rng.randbytes(50_000)
    other = bytes(rng.randrange(256) for _ in range(32))
    texts = [NOTATIONS[name].encode().replace(b"c9", b"d0") for name in ("two words of eight",)]
    texts[0] = texts[0].replace(KEY[12:16].hex().encode(), other[:4].hex().encode())
    for text in (noise, base64.b64encode(noise), noise.hex(" ").encode(), dump(noise).encode(), other.hex().encode()):
        assert scanner.scan(text) == []
    assert scanner.scan(noise + bytes(100_000), text=False) == []
    assert scanner.scan(texts[0]) == []
    assert scanner.scan(KEY[:7].hex().encode()) == []  # seven bytes are less than what counts


def test_one_word_alone_is_chance(scanner: Scanner) -> None:
    assert scanner.scan(f"pc={KEY[:4].hex()} {KEY[:4].hex()}".encode()) == []


def test_large_secrets_are_found_by_a_small_piece() -> None:
    rng = random.Random(3)
    model = rng.randbytes(200_000)
    scanner = Scanner([Secret(name="model", data=model, window=16, step=16, every_form=False)])
    memory = bytes(300_000) + model[77_001 : 77_001 + 31] + bytes(300_000)
    assert [leak.secret for leak in scanner.scan(memory, text=False)] == ["model"]
    assert [leak.secret for leak in scanner.scan(base64.b64encode(model[500:560]))] == ["model"]
    assert scanner.scan(bytes(300_000), text=False) == []


def test_a_secret_that_looks_like_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="too regular"):
        Scanner([Secret(name="zeros", data=bytes(32))])
    with pytest.raises(ValueError, match="at least 8"):
        Secret(name="short", data=b"1234")


SAMPLE = SampleValues(counts=(742, 655, 688, 401), units=(67.45, 59.54, 70.2, 25.0625))


@pytest.mark.parametrize(
    "line",
    [
        b"x=742 y=655 z=688 t=401",
        b"mag 0x02e6 0x028f",
        b"raw 02e6 028f 02b0",
        b"field 67.45 uT temperature 25.0625",
        b"temp 25062 mC, z 688",
    ],
)
def test_two_values_of_a_sample_in_a_line_are_a_leak(line: bytes) -> None:
    text = LOG + line + b"\n"
    assert list(samples_in(text, [SAMPLE])) == [(len(LOG), line)]


@pytest.mark.parametrize("line", [b"742 samples", b"742 of 742", b"sample 12, status 0", b"t 25 x 67", b"a7424 b6556"])
def test_one_value_is_no_sample(line: bytes) -> None:
    assert list(samples_in(LOG + line, [SAMPLE])) == []


def test_a_leak_says_what_and_where() -> None:
    leak = Leak(secret="key", notation="base64, reversed", at=16, length=8, part=0)
    assert str(leak) == "8 bytes of key at offset 0x10: base64, reversed"
