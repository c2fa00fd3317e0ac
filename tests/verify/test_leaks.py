"""The leak scanner: every notation of a secret is found, and nothing is found where no secret is."""

from __future__ import annotations

import base64
import hashlib
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

import pytest
from tfm_harness.verify.derive import derive_reference_keys, random_seed, reference_private_key
from tfm_harness.verify.leaks import (
    NOTATIONS,
    RAW_NOTATIONS,
    Leak,
    SampleValues,
    Scanner,
    Secret,
    canaries,
    device_secrets,
    fingerprints,
    missed_canaries,
    notations,
    samples_in,
    series_in,
)
from tfm_harness.verify.leaks import scanner as scanner_module

KEY = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")  # RFC 6979 A.2.5, public
HALF = KEY[8:24]
LOG = b"[SPE] boot 1 of this board since power on\n[SPE] OTP ok, lifecycle 00003000\n"


def c_words(data: bytes, order: str) -> str:
    return ", ".join(f"0x{n:08x}" for n in struct.unpack(f"{order}{len(data) // 4}I", data))


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner([Secret(name="key", data=KEY)])


@pytest.mark.parametrize("notation", NOTATIONS)
def test_every_notation_is_found(scanner: Scanner, notation: str) -> None:
    written = NOTATIONS[notation](KEY)
    text = LOG + written + b"\n" + LOG
    leaks = scanner.scan(text)
    assert leaks, text
    assert any(len(LOG) - 8 <= leak.at <= len(LOG) + len(written) for leak in leaks), leaks


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_key_that_ends_with_what_notations_cut_or_fold_is_found(notation: str) -> None:
    """Zeros, which are blanks in uuencode and nothing in some numbers; line feeds; characters of syntax."""
    for first, last in ((b"\0\0", b"\0\0"), (b"\n", b"\n"), (b"\xff\xff", b" "), (b"\\", b"\0")):
        key = first + KEY[len(first) : -len(last)] + last
        text = LOG + NOTATIONS[notation](key) + b"\n" + LOG
        assert Scanner([Secret(name="key", data=key)]).scan(text), text


@pytest.mark.parametrize("form", RAW_NOTATIONS)
def test_every_form_in_memory_is_found(scanner: Scanner, form: str) -> None:
    written = RAW_NOTATIONS[form](KEY)
    memory = bytes(5001) + written + bytes(5000)
    leaks = scanner.scan(memory, text=False)
    assert leaks, form
    assert all(5000 <= leak.at < 5001 + len(written) for leak in leaks), leaks


@pytest.mark.parametrize("notation", NOTATIONS)
def test_other_keys_in_the_same_notation_are_not_found(scanner: Scanner, notation: str) -> None:
    other = random.Random(notation).randbytes(32)
    assert scanner.scan(LOG + NOTATIONS[notation](other) + b"\n" + LOG) == []


@pytest.mark.parametrize(
    ("notation", "data", "shown"),
    [
        ("cat -v", b"\x00A\x1f ~\x7f\x80\x9f\xa0\xc1\xff", b"^@A^_ ~^?M-^@M-^_M- M-AM-^?"),
        ("GDB's array", b"\0A'\\~\x7f\xff", rb"{0 '\000', 65 'A', 39 '\'', 92 '\\', 126 '~', 127 '\177', 255 '\377'}"),
        ("od -c", bytes(range(7, 14)), rb"0000000  \a  \b  \t  \n  \v  \f  \r"),
        ("od -c", b"\0\1 A~\x7f\xff\\", b"0000000  \\0 001       A   ~ 177 377   \\"),
    ],
)
def test_notations_are_what_their_tools_show(notation: str, data: bytes, shown: bytes) -> None:
    assert NOTATIONS[notation](data) == shown


def test_od_shows_control_characters_by_their_names() -> None:
    """A secret of nothing else, between bytes that are shown as they are and in octal."""
    secret = bytes([0, 7, 8, 9, 10, 11, 12, 13, 13, 12, 11, 10, 9, 8, 7, 0])
    text = LOG + NOTATIONS["od -c"](b"abcdefgh" + secret + b"\x80\x81ijklmn") + b"\n" + LOG
    assert b"\\a  \\b  \\t" in text
    assert Scanner([Secret(name="key", data=secret)]).scan(text)


def test_what_lies_over_the_border_of_two_blocks_is_found(scanner: Scanner) -> None:
    written = NOTATIONS["a decimal in a line"](KEY)
    for before in (0, 1, 7, len(written) // 2, len(written) - 1, len(written)):
        text = (LOG * (1 + (1 << 20) // len(LOG)))[: (1 << 20) - before - 1] + b"\n" + written + b"\n" + LOG
        (leak, *_) = scanner.scan(text)
        assert (1 << 20) - before <= leak.at < (1 << 20) - before + len(written)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"0", b"\\", b"\\x", b"0x", b"-", b"\n", b"=", b"a" * 12, b"0x" * 9, b"\\x" * 9, b"9" * 21, b"-" * 12,
        b"18446744073709551615 18446744073709551616 99999999999999999999", b"0b" * 8, b"1" * 70_000,
        b"f" * 200_000, b"A" * 200_000, b"\0" * 200_000, b"\xff" * 31, b"============", b"\n\n\n\n=\n==\nAA==\n",
    ],
    ids=range(22),
)  # fmt: skip
def test_any_bytes_can_be_searched(scanner: Scanner, data: bytes) -> None:
    assert scanner.scan(data) == []
    assert scanner.scan(data, text=False) == []


def test_noise_can_be_searched(scanner: Scanner) -> None:
    rng = random.Random(9)
    for alphabet in (b"0x1fFu\\ \n-", b"01 b\n", bytes(range(256)), b"=A/\n+", b"\\01x\"'n"):
        for size in (*range(24), 3000):
            data = bytes(rng.choice(alphabet) for _ in range(size))
            assert scanner.scan(data) == []
            assert scanner.scan(data, text=False) == []


def test_a_leak_says_how_much_of_the_secret_is_there(scanner: Scanner) -> None:
    (leak, *_) = scanner.scan(b"\0" * 9 + KEY[:21] + b"\0" * 9, text=False)
    assert (leak.at, leak.length, leak.part) == (9, 21, 0)


def test_one_word_in_a_register_is_a_leak(scanner: Scanner) -> None:
    word = int.from_bytes(KEY[4:8], "big")
    (leak,) = scanner.in_words([0, 0x30001FF0, word, 0xFFFFFFFF])
    assert (leak.secret, leak.at, leak.length) == ("key", 2, 4)
    assert scanner.in_words([0, 0x30001FF0, word ^ 1, 0xFFFFFFFF]) == []


def test_chance_is_far_below_one_and_grows_with_what_is_searched(scanner: Scanner) -> None:
    assert 0 < scanner.chance(1 << 20) < scanner.chance(100 << 20) < 1e-3
    assert scanner.chance(10 << 30) == pytest.approx(10 * scanner.chance(1 << 30))
    every = Scanner([Secret(name="key", data=KEY), Secret(name="more", data=random.Random(3).randbytes(32))])
    assert every.chance(1 << 20) == pytest.approx(2 * scanner.chance(1 << 20))


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("around", [b"", LOG * 40, random.Random(2).randbytes(5000)], ids=["empty", "log", "noise"])
def test_canaries_are_found_in_whatever_is_searched(around: bytes, text: bool) -> None:
    for seed in range(2):
        assert missed_canaries(around, seed=seed, text=text) == []


def test_canaries_show_a_scanner_that_is_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(text: bytes) -> Iterator[notations.Reading]:
        return (reading for reading in notations.readings(text) if "base64" not in reading.notation)

    monkeypatch.setattr(scanner_module, "readings", blind)
    assert set(missed_canaries(LOG, seed=1)) == {name for name in NOTATIONS if name.startswith("base64")}


@pytest.mark.parametrize("row", [b"3f" * 40, b"ABCDEF" * 20, b"0" * 200], ids=["digits", "capitals", "zeros"])
@pytest.mark.parametrize("notation", ["base64", "base64 reversed", "base32", "base32hex", "base85", "hex"])
def test_a_secret_beside_a_long_row_of_hexadecimal_digits_is_found(scanner: Scanner, notation: str, row: bytes) -> None:
    """A long row of such digits alone is read as hexadecimal only; with any other character, as anything."""
    written = NOTATIONS[notation](KEY)
    texts = [row + b" " + written + b" " + row, written + b"\n" + row]
    for text in [*texts, row + written] if notation == "base64" else texts:
        assert scanner.scan(LOG + text + b"\n"), text


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
    texts = [NOTATIONS["two words of eight"](KEY).replace(b"c9", b"d0")]
    texts[0] = texts[0].replace(KEY[12:16].hex().encode(), other[:4].hex().encode())
    for text in (
        noise,
        base64.b64encode(noise),
        noise.hex(" ").encode(),
        NOTATIONS["xxd"](noise),
        other.hex().encode(),
    ):
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


def test_the_secrets_of_a_device_follow_from_its_unique_key() -> None:
    huk = bytes(range(32))
    found = {secret.name: secret.data for secret in device_secrets(huk)}
    assert (
        len(set(found.values())) == len(found) == 7
    )  # the key, its root, three private keys, two of storage and encryption
    assert found["the hardware unique key"] == huk
    private = reference_private_key(huk, "client").private_numbers().private_value
    assert found["the private client key"] == private.to_bytes(32, "big")


def small_every_other(size: int) -> bytes:
    """A secret of which the first byte of each so many is small: numbers of it are written with fewer digits."""
    return bytes(
        1 + byte % 9 if at % size == 0 else byte | 0x80 for at, byte in enumerate(random.Random(5).randbytes(32))
    )


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_numbers_without_their_leading_zeros_are_read(size: int, order: Literal["little", "big"]) -> None:
    """As a C program prints them by %#x: 0x is before them, and nothing says how wide they are."""
    secret = small_every_other(size)[:: 1 if order == "big" else -1]
    numbers = [int.from_bytes(secret[at : at + size], order) for at in range(0, 32, size)]
    assert all(len(f"{number:x}") == 2 * size - 1 for number in numbers)
    written = ", ".join(f"{number:#x}" for number in numbers).encode()
    (leak, *_) = Scanner([Secret(name="key", data=secret)]).scan(LOG + written + b"\n" + LOG)
    assert leak.secret == "key"


@pytest.mark.parametrize("row", [2, 4, 8])
def test_binary_bytes_behind_offsets_of_the_same_digits_are_read(row: int) -> None:
    """The offsets belong to no byte."""
    written = "\n".join(
        f"{at // row:04b}: {' '.join(f'{byte:08b}' for byte in KEY[at : at + row])}" for at in range(0, 32, row)
    )
    (leak, *_) = Scanner([Secret(name="key", data=KEY)]).scan(LOG + written.encode() + b"\n" + LOG)
    assert leak.secret == "key"


def test_what_seeds_a_device_s_generator_is_its_secret_too() -> None:
    """Known where the host knows the entropy of the last cold start; another one after each reset."""
    huk, entropy = bytes(range(32)), bytes(range(100, 132))
    plain = device_secrets(huk)
    seeds = set()
    for boots in (1, 2, 300):
        found = device_secrets(huk, (entropy, boots))
        assert found[: len(plain)] == plain
        assert [secret.name for secret in found[len(plain) :]] == [
            "the entropy of this start",
            "the seed of the random generator",
        ]
        assert found[-2].data == entropy
        assert found[-1].data == random_seed(entropy, boots)
        seeds.add(found[-1].data)
    assert len(seeds) == 3


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256"])
@pytest.mark.parametrize("order", [1, -1])
def test_fingerprints_of_keys_are_found(name: str, order: int) -> None:
    keys = device_secrets(bytes(range(32)))
    scanner = Scanner(fingerprints(keys))
    key = next(key for key in keys if key.name == "the private result key")
    digest = hashlib.new(name, key.data[::order]).digest()
    words = f"{name} of the private result key{', reversed' if order < 0 else ''}"
    assert {leak.secret for leak in scanner.scan(b"key check value " + digest[:8].hex().encode() + b"\n")} == {words}
    assert {leak.secret for leak in scanner.alone_in(b"[SPE] key " + digest[:4].hex().encode() + b"\n")} == {words}
    assert scanner.scan(digest[8:].hex().encode()) == []


def test_checksums_of_keys_are_found() -> None:
    keys = device_secrets(bytes(range(32)))
    scanner = Scanner(fingerprints(keys))
    for checksum in (zlib.crc32(keys[0].data), zlib.adler32(keys[0].data)):
        (leak,) = scanner.alone_in(b"[SPE] HUK %08x\n" % checksum)
        assert leak.secret == "CRC-32 and Adler-32 of the hardware unique key"
    assert scanner.alone_in(b"[SPE] HUK %08x\n" % (zlib.crc32(keys[0].data) ^ 1)) == []


def test_what_a_device_publishes_is_no_fingerprint() -> None:
    """Digests of other things, and the identities that follow from the keys."""
    huk = bytes(range(32))
    scanner = Scanner(fingerprints(device_secrets(huk)))
    keys = derive_reference_keys(huk)
    public = reference_private_key(huk, "result").public_key().public_numbers()
    for data in (keys.instance_id, keys.uuid.bytes, public.x.to_bytes(32, "big"), hashlib.sha256(b"a model").digest()):
        assert scanner.scan(data.hex().encode()) == scanner.alone_in(b"value %s" % data[:4].hex().encode()) == []


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


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("separator", ["", " ", ":"])
def test_registers_of_a_sample_in_hexadecimal_are_a_leak(order: Literal["big", "little"], separator: str) -> None:
    sample = SampleValues((742, 656, 1034, 411))
    raw = b"\x1c\x20" + b"".join(count.to_bytes(2, order) for count in (742, 1034, 656))
    line = b"[SENSOR] failed after " + separator.join(f"{byte:02x}" for byte in raw).encode()
    assert list(samples_in(LOG + line + b"\n", [sample])) == [(len(LOG), line)]
    other = b"[SENSOR] failed after " + b"".join(count.to_bytes(2, order) for count in (742, 742, 656)).hex().encode()
    assert list(samples_in(other, [sample])) == []


@pytest.mark.parametrize("line", [b"742 samples", b"742 of 742", b"sample 12, status 0", b"t 25 x 67", b"a7424 b6556"])
def test_one_value_is_no_sample(line: bytes) -> None:
    assert list(samples_in(LOG + line, [SAMPLE])) == []


def test_a_leak_says_what_and_where() -> None:
    leak = Leak(secret="key", notation="base64, reversed", at=16, length=8, part=0)
    assert str(leak) == "8 bytes of key at offset 0x10: base64, reversed"


@pytest.mark.parametrize(
    "data", [b"\x1f\x8b\x08", b"\x78\x9c", b"\x78\x9c" * 40_000, b"&#xFFFF;&#99999;&amp;%zz=\n\\u00zz"]
)
def test_broken_wrappings_can_be_searched(scanner: Scanner, data: bytes) -> None:
    assert scanner.scan(data) == []
    assert scanner.scan(data, text=False) == []


def test_a_stream_that_bursts_is_bounded(scanner: Scanner) -> None:
    """Four times 16 MB in 64 KB: as far as it is looked at, and what stands behind it is found."""
    bomb = zlib.compress(bytes(16 << 20), 9)
    leaks = scanner.scan(bomb * 4 + b" key " + KEY.hex().encode() + b"\n", text=False)
    assert {leak.secret for leak in leaks} == {"key"}


def test_a_cut_or_damaged_stream_is_found_as_far_as_it_goes(scanner: Scanner) -> None:
    packed = RAW_NOTATIONS["gzip in it"](KEY)
    for data in (packed[:-6], packed[:-8] + b"\0" * 8, b"\x1f\x8b\x08" + packed):
        assert any("compressed" in leak.notation for leak in scanner.scan(data, text=False))


def test_no_canary_has_a_word_that_tells_nothing() -> None:
    """Else one of some thousand runs says that the search is broken: its two words apart are 7c7c9a9a and another."""
    rng = random.Random(7)
    drawn = iter([bytes.fromhex("33a97c987c7c9a9a272aa2996a38065209183dc7bbb4e0d8768c9abf47909459")])
    wanted = rng.randbytes(32)

    class First(random.Random):
        def randbytes(self, n: int) -> bytes:
            return next(drawn, wanted)

    assert canaries._canary(First()) == wanted


@pytest.mark.parametrize(
    "shown", ["HUK {0:x}...", "key 0x{0:08X},", "id={0}", "id={1}", "{0:08x}", "fp:{2:08x}", "[SPE] HUK {0:x}"]
)
def test_one_word_alone_in_a_log_is_found(shown: str) -> None:
    data = bytes.fromhex("c1a2938475665748") + bytes(range(101, 125))
    scanner = Scanner([Secret(name="the key", data=data)])
    word = int.from_bytes(data[:4], "big")
    signed = word - (1 << 32)
    swapped = int.from_bytes(data[4:8], "little")
    log = f"[SPE] version 1.0.0\n{shown.format(word, signed, swapped)}\ntick 24475299\n".encode()
    (leak,) = scanner.alone_in(log)
    assert (leak.secret, leak.length) == ("the key", 4)


@pytest.mark.parametrize("shown", ["{0:08x}00", "a{0:08x}", "{1:08x}", "{0:04x}", "1{0}"])
def test_no_other_number_in_a_log_is_a_word(shown: str) -> None:
    data = bytes.fromhex("c1a2938475665748") + bytes(range(101, 125))
    scanner = Scanner([Secret(name="the key", data=data)])
    word = int.from_bytes(data[:4], "big")
    other = "c1a2" if shown == "{0:04x}" else shown.format(word, word ^ 1)
    assert scanner.alone_in(f"tick {other}\n".encode()) == []


SERIES = [
    SampleValues((742 + 11 * n, 655 - 3 * n, 688 + 7 * n, 401), (67.45 + n, 59.54, 70.2, 25.0625)) for n in range(8)
]


@pytest.mark.parametrize(
    "lines",
    [
        [f"[SENSOR] x {742 + 11 * n}" for n in range(2, 6)],
        [f"sample {n}: {655 - 3 * n:04x}" for n in range(8)],
        [line for n in range(8) for line in (f"z={688 + 7 * n}", "other text 5")],
        [f"{67.45 + n:.2f} uT" for n in range(4)],
    ],
)
def test_one_channel_over_several_lines_is_found(lines: list[str]) -> None:
    text = LOG + "\n".join(lines).encode() + b"\n"
    found = [line.decode() for _, line in series_in(text, SERIES)]
    assert len(found) == 4
    assert set(found) <= set(lines)


@pytest.mark.parametrize(
    "lines",
    [
        [f"[SENSOR] x {742 + 11 * n}" for n in range(3)],
        [f"[SENSOR] x {742 + 11 * n}" for n in range(8, 0, -1)],
        [f"[SENSOR] x {742 + 22 * n}" for n in range(4)],
        ["temperature 401"] * 8,
        [f"{'abcd'[n]} {742 + 11 * n}" for n in range(4)],
    ],
)
def test_fewer_others_and_equal_values_are_no_series(lines: list[str]) -> None:
    assert list(series_in(LOG + "\n".join(lines).encode() + b"\n", SERIES)) == []


def test_a_long_log_is_searched_in_a_moment() -> None:
    text = b"".join(b"tick %d of %d\n" % (n, 742 + n % 9) for n in range(30_000))
    assert list(series_in(text, SERIES)) == []


@pytest.mark.parametrize("constant", [0x00, 0x01, 0x5A, 0x80, 0xA5, 0xFF])
@pytest.mark.parametrize("size", [8, 11, 12, 16])
def test_bytes_under_one_constant_are_found_from_twelve_on(scanner: Scanner, constant: int, size: int) -> None:
    """Fewer are found where the constant is one that bytes are often combined with."""
    memory = bytes(5000) + bytes(byte ^ constant for byte in KEY[4 : 4 + size]) + bytes(5000)
    leaks = scanner.scan(memory, text=False)
    assert bool(leaks) == (size >= 12 or constant in {0, 0x80, 0xFF})
    for leak in leaks:
        assert (f"{constant:#04x}" in leak.notation) == (constant not in {0, 0x80, 0xFF})


def test_bytes_that_count_up_are_no_secret_under_a_constant() -> None:
    """A table of the alphabet is every secret that counts up, under some constant."""
    counting = Scanner([Secret(name="counting", data=bytes(range(0x40, 0x60)))])
    assert counting.scan(bytes(range(0x60, 0x80)), text=False) == []
    assert counting.scan(bytes(range(0x40, 0x60)), text=False)


@pytest.mark.parametrize("between", ["[NS] tick {0}", "rx done", "0x{0:04x}", "[00:00:0{0}] ok"])
def test_a_column_is_read_whatever_other_lines_stand_between(scanner: Scanner, between: str) -> None:
    lines = [line for at, byte in enumerate(KEY) for line in (f"spi: {byte:#04x}", between.format(at))]
    assert scanner.scan("\n".join(lines).encode())
