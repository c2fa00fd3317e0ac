"""Canaries: invented secrets in every notation, planted in the searched data to show that the search finds them."""

from __future__ import annotations

import base64
import binascii
import json
import quopri
import random
import struct
import urllib.parse
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache

from tfm_harness.verify.leaks.scanner import Scanner
from tfm_harness.verify.leaks.secrets import WORD, Secret, telling

__all__ = ["NOTATIONS", "RAW_NOTATIONS", "missed_canaries"]

_SLICE = 1 << 17
"""So many bytes of the searched data are searched once more, with the canaries in them."""

Write = Callable[[bytes], bytes]


def _words(data: bytes, order: str, code: str = "I", form: str = "0x{:08x}", between: str = ", ") -> bytes:
    numbers = struct.unpack(f"{order}{len(data) // struct.calcsize(code)}{code}", data)
    return between.join(form.format(number) for number in numbers).encode()


def _each(form: str, between: str = " ") -> Write:
    return lambda data: between.join(form.format(byte) for byte in data).encode()


def _grouped(size: int, between: str) -> Write:
    """Digits in groups of `size`, whether or not a group ends with a whole byte."""
    return lambda data: between.join(data.hex()[at : at + size] for at in range(0, 2 * len(data), size)).encode()


def _dump(width: int = 1, offset: str = "{:08x}: ", *, gutter: bool = True, columns: int = 16) -> Write:
    """Lines of 16 bytes with an offset, and the text at the side."""

    def write(data: bytes) -> bytes:
        lines = []
        for at in range(0, len(data), columns):
            row = data[at : at + columns]
            groups = " ".join(row[k : k + width].hex() for k in range(0, len(row), width))
            shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
            lines.append(offset.format(at) + groups + (f"  |{shown}|" if gutter else ""))
        return "\n".join(lines).encode()

    return write


def _swapped(data: bytes, size: int) -> bytes:
    return b"".join(data[at : at + size][::-1] for at in range(0, len(data), size))


def _folded(data: bytes, width: int) -> bytes:
    return b"\n".join(_parts(data, width))


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _visible(byte: int) -> bytes:
    """As ``cat -v`` shows it."""
    low = byte & 0x7F
    shown = b"^%c" % (low ^ 0x40) if low < 0x20 or low == 0x7F else b"%c" % low
    return b"M-" + shown if byte & 0x80 else shown


def _cell(byte: int) -> bytes:
    """As ``od -c`` shows it."""
    escape = {0: b"\\0", 7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r"}.get(byte)
    return b"%4s" % (escape or (b"%c" % byte if 0x20 <= byte < 0x7F else b"%03o" % byte))


def _quoted(byte: int) -> bytes:
    """As GDB shows it."""
    if byte in b"'\\":
        return b"\\%c" % byte
    return b"%c" % byte if 0x20 <= byte < 0x7F else b"\\%03o" % byte


def _cells(row: bytes) -> bytes:
    return b"".join(map(_cell, row))


def _records(form: str) -> Write:
    """Records of 16 bytes with lengths, addresses and checksums: Intel's, or Motorola's."""

    def write(data: bytes) -> bytes:
        lines = []
        for at in range(0, len(data), 16):
            row = data[at : at + 16]
            if form == "S3":
                record = bytes([len(row) + 5]) + struct.pack(">I", 0x30000000 + at) + row
                check = ~sum(record)
            else:
                record = bytes([len(row)]) + struct.pack(">HB", 0x1000 + at, 0) + row
                check = -sum(record)
            lines.append(form + (record + bytes([check & 0xFF])).hex().upper())
        return "\r\n".join(lines).encode()

    return write


def _packed(data: bytes) -> bytes:
    """Compress with gzip and fixed Huffman codes: merely stored bytes would be found without decompression."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9, zlib.Z_FIXED)
    return packer.compress(data) + packer.flush()


_Z85 = bytes.maketrans(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
)

NOTATIONS: Mapping[str, Write] = {
    "hex": lambda data: data.hex().encode(),
    "hex in capitals": lambda data: data.hex().upper().encode(),
    "hex between letters": lambda data: b"key" + data.hex().encode() + b"x",
    "hex with spaces": _each("{:02x}"),
    "hex with colons": _each("{:02x}", ":"),
    "hex in pairs": _grouped(4, " "),
    "hex in threes of digits": _grouped(3, " "),
    "hex in fours": _grouped(8, "_"),
    "hex in fives": _grouped(10, "-"),
    "hex in sevens of digits": _grouped(7, "."),
    "hex over lines": _grouped(24, "\n"),
    "hex over lines of odd length": _grouped(25, "\n"),
    "C bytes": _each("0x{:02x}", ", "),
    "C bytes without zeros": _each("{:#x}", ", "),
    "C bytes with suffix": _each("0x{:02X}U", ", "),
    "C words": lambda data: _words(data, ">"),
    "C words, little endian": lambda data: _words(data, "<"),
    "C words without zeros": lambda data: _words(data, "<", form="{:#x}"),
    "a word in a line": lambda data: _words(data, ">", form="key {:08x}", between="\n"),
    "C array with index": lambda data: b"\n".join(
        b"k[%d] = 0x%08x;" % (at, word) for at, word in enumerate(struct.unpack(f"<{len(data) // 4}I", data))
    ),
    "two words of eight": lambda data: f"r0={data[:4].hex()} sp=30001ff0 r1={data[12:16].hex()}".encode(),
    "registers": lambda data: "\n".join(
        f"r{at}: {data[4 * at : 4 * at + 4].hex()} pc: 1000{at:04x}" for at in range(len(data) // 4)
    ).encode(),
    "a byte in a line": lambda data: b"\n".join(b"[%02d] %02x" % (at, byte) for at, byte in enumerate(data)),
    "Python bytes": lambda data: repr(data).encode(),
    "hex escapes": _each("\\x{:02x}", ""),
    "octal escapes": _each("\\{:03o}", ""),
    "hexdump -C": _dump(),
    "xxd": _dump(2),
    "od in octal": lambda data: _folded(_words(data, "<", "H", "{:06o}", " "), 56),
    "octal bytes": _each("{:03o}"),
    "dump in words": _dump(4, gutter=False),
    "dump in halves": _dump(2, "{:04x}: "),
    "dump with offsets as wide as words": _dump(4, "{:08x} "),
    "dump with a time before": _dump(1, "[00:00:01.250,000] <inf> {:04x} "),
    "base64": base64.b64encode,
    "base64 of more, 1 before": lambda data: base64.b64encode(b"x" + data + b"yz"),
    "base64 of more, 2 before": lambda data: base64.b64encode(b"xw" + data + b"y"),
    "base64url": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "base64 over lines": lambda data: _folded(base64.b64encode(data), 10),
    "base32": base64.b32encode,
    "percent": _each("%{:02X}", ""),
    "quoted-printable": _each("={:02X}", ""),
    "decimal": _each("{}", ", "),
    "decimal with dots": _each("{}", "."),
    "decimal with sign": lambda data: _words(data, "<", "b", "{}", " "),
    "a decimal in a line": lambda data: b"\n".join(b"%d: %d" % (at, byte) for at, byte in enumerate(data)),
    "decimal words": lambda data: _words(data, "<", form="{}", between=" "),
    "decimal words with sign": lambda data: _words(data, ">", "i", "{}", " "),
    "decimal halves": lambda data: _words(data, "<", "H", "{}", " "),
    "decimal quads": lambda data: _words(data, "<", "Q", "{}", " "),
    "binary": _each("{:08b}"),
    "binary with 0b": _each("0b{:08b}", ", "),
    "JSON": lambda data: b'{"k":[' + b",".join(b"%d" % byte for byte in data) + b"]}",
    "hex reversed": lambda data: data[::-1].hex().encode(),
    "base64 reversed": lambda data: base64.b64encode(data[::-1]),
    "hex of halves swapped": lambda data: _swapped(data, 2).hex().encode(),
    "hex of words swapped": lambda data: _swapped(data, 4).hex().encode(),
    "hex inverted": lambda data: bytes(byte ^ 0xFF for byte in data).hex().encode(),
    "hex with digits reversed": lambda data: data.hex()[::-1].encode(),
    "hex with signs flipped": lambda data: bytes(byte ^ 0x80 for byte in data).hex().encode(),
    "hex in colours": _each("\x1b[1;31m{:02x}\x1b[0m", ""),
    "hex of hex": lambda data: data.hex().encode().hex().encode(),
    "Verilog": _each("8'h{:02x}", ", "),
    "Intel hex records": _records(":"),
    "S-records": _records("S3"),
    "base64 of hex": lambda data: base64.b64encode(data.hex().encode()),
    "base64 of base64": lambda data: base64.b64encode(base64.b64encode(data)),
    "base64 of gzip": lambda data: base64.b64encode(_packed(data)),
    "uuencode": lambda data: binascii.b2a_uu(data).rstrip(b"\n"),
    "Ascii85": base64.a85encode,
    "base85": base64.b85encode,
    "Z85": lambda data: base64.b85encode(data).translate(_Z85),
    "percent where needed": lambda data: urllib.parse.quote_from_bytes(data).encode(),
    "quoted-printable in a mail": lambda data: quopri.encodestring(data, quotetabs=True),
    "JSON with escapes": _each("\\u{:04x}", ""),
    "JSON as text": lambda data: json.dumps(data.decode("latin-1")).encode(),
    "markup": _each("&#{};", ""),
    "markup in hex": _each("&#x{:02X};", ""),
    "Latin-1 as UTF-8": lambda data: data.decode("latin-1").encode(),
    "decimal with zeros behind": _each("{:.1f}"),
    "binary run together": _each("{:08b}", ""),
    "C bytes with signs": lambda data: b", ".join(b"%s" % hex(byte - (byte & 128) * 2).encode() for byte in data),
    "base64 in a list": lambda data: b'", "'.join(_parts(base64.b64encode(data), 8)),
    "bits apart": lambda data: " ".join("".join(f"{byte:08b}" for byte in data)).encode(),
    "two in a line behind a time": lambda data: b"\n".join(
        b"%d.%03d s lo %d hi %d" % (at // 9, at, *data[at : at + 2]) for at in range(0, len(data), 2)
    ),
    "some in a line behind a time": lambda data: b"\n".join(
        b"[00:00:01.250,%03d] <inf> raw: %d %d %d %d" % (at, *data[at : at + 4]) for at in range(0, len(data), 4)
    ),
    "binary, an assembler's": lambda data: b"\n".join(
        b"byte %d: %sb" % (at, f"{byte:08b}".encode()) for at, byte in enumerate(data)
    ),
    "hex in a URL": lambda data: urllib.parse.quote("k=" + data.hex(" ")).encode(),
    "strings in strings": lambda data: repr(data).replace("\\", "\\\\").encode(),
    "percent of percent": _each("%25{:02X}", ""),
    "cat -v": lambda data: b"".join(map(_visible, data)),
    "od -c": lambda data: b"\n".join(b"%07o%s" % (at, _cells(data[at : at + 16])) for at in range(0, len(data), 16)),
    "assembler": lambda data: ", ".join(f"0{byte:02X}h" for byte in data).encode(),
    "Ada": _each("16#{:02X}#", ", "),
    "GDB's array": lambda data: b"{" + b", ".join(b"%d '%s'" % (byte, _quoted(byte)) for byte in data) + b"}",
    "decimal with index": lambda data: b", ".join(b"[%d] = %d" % (at, byte) for at, byte in enumerate(data)),
    "hex with index": lambda data: b" ".join(b"%02x:%02x" % (at, byte) for at, byte in enumerate(data)),
    "objects": lambda data: b",".join(b'{"i":%d,"v":%d}' % (at, byte) for at, byte in enumerate(data)),
    "what a bus gave": lambda data: b"\n".join(b"spi tx %02x rx ff" % byte for byte in data),
    "between other numbers": lambda data: b"\n".join(
        b"t=%d %d of 32" % (37 * at, byte) for at, byte in enumerate(data)
    ),
    "between other lines": lambda data: b"\n".join(b"rx %02x\n[NS] tick 12%d" % (byte, byte) for byte in data),
    "binary in fours": lambda data: " ".join(f"{byte >> 4:04b} {byte & 15:04b}" for byte in data).encode(),
    "decimals run together": _each("{:03d}", ""),
    "one number": lambda data: b"%d" % int.from_bytes(data, "big"),
    "one number, little endian": lambda data: b"%d" % int.from_bytes(data, "little"),
    "base64 in fours": lambda data: b" ".join(_parts(base64.b64encode(data), 4)),
    "base32 in fours": lambda data: b"-".join(_parts(base64.b32encode(data).rstrip(b"=").lower(), 4)),
    "base32hex": base64.b32hexencode,
    "uuencode in a log": lambda data: b"[00:01] " + binascii.b2a_uu(data).rstrip(),
    "hex in further colours": _each("\x1b[38:2::1:2:3m{:02x}\x1b[K", ""),
    "hex XOR 0x5a": lambda data: bytes(byte ^ 0x5A for byte in data).hex().encode(),
    "half of it in hex": lambda data: data[8:24].hex().encode(),
}
"""The notations in a text, each with the function that writes it."""

RAW_NOTATIONS: Mapping[str, Write] = {
    "as it is": bytes,
    "reversed": lambda data: data[::-1],
    "words swapped": lambda data: _swapped(data, 4),
    "words in reverse order": lambda data: _swapped(data, 4)[::-1],
    "bits reversed": lambda data: bytes(int(f"{byte:08b}"[::-1], 2) for byte in data),
    "nibbles swapped": lambda data: bytes((byte << 4 | byte >> 4) & 0xFF for byte in data),
    "inverted": lambda data: bytes(byte ^ 0xFF for byte in data),
    "one byte in two": lambda data: b"\0".join(bytes([byte]) for byte in data),
    "one byte in four": lambda data: b"\0\0\0".join(bytes([byte]) for byte in data),
    "one byte in eight": lambda data: (b"\0" * 7).join(bytes([byte]) for byte in data),
    "signs flipped": lambda data: bytes(byte ^ 0x80 for byte in data),
    "XOR 0x36": lambda data: bytes(byte ^ 0x36 for byte in data),
    "gzip in it": _packed,
    "hex in UTF-16": lambda data: b"\0" + data.hex().encode("utf-16-le"),
    "two words apart": lambda data: data[4:8] + bytes(range(100, 160)) + data[16:20],
    "hex in it": lambda data: b"\0" + data.hex().encode() + b"\0",
    "base64 in it": lambda data: b"\xff" + base64.b64encode(data) + b"\xff",
}
"""The forms in memory, each with the function that writes it."""


def missed_canaries(data: bytes, *, seed: int, text: bool = True) -> list[str]:
    """The notations in which a canary planted in `data` is not found; empty as long as the scanner works.

    Args:
        data: the searched data; canaries are planted in a part of it.
        seed: the seed of the canaries and their places.
        text: plant the notations of a text; else the forms in memory.
    """
    written = NOTATIONS if text else RAW_NOTATIONS
    keys, scanner = _canaries(seed, text=text)
    rng = _random(f"places {seed}")
    start = rng.randrange(max(1, len(data) - _SLICE))
    piece = data[start : start + _SLICE]
    places = sorted(rng.randrange(len(piece) + 1) for _ in written)
    order = rng.sample(sorted(written), len(written))
    planted, before = bytearray(), 0
    for at, name in zip(places, order, strict=True):
        planted += piece[before:at]
        written_out = written[name](keys[name])
        planted += b"\n" + written_out + b"\n" if text else written_out + b"\0" * 8
        before = at
    planted += piece[before:]
    seen = {leak.secret for leak in scanner.scan(bytes(planted), text=text)}
    return [name for name in written if name not in seen]


@lru_cache(maxsize=2)
def _canaries(seed: int, *, text: bool) -> tuple[Mapping[str, bytes], Scanner]:
    """A canary for each notation, and the scanner that looks for them: several places are seeded with the same ones."""
    rng = _random(f"canaries {seed}")
    keys = {name: _canary(rng) for name in (NOTATIONS if text else RAW_NOTATIONS)}
    return keys, Scanner([Secret(name=name, data=key) for name, key in keys.items()])


def _random(seed: str) -> random.Random:
    """The same seed gives the same canaries and places."""
    return random.Random(seed)  # noqa: S311 - canaries guard nothing


def _canary(rng: random.Random) -> bytes:
    """A random key in which every word can be told from chance; about one of 600 keys is drawn again."""
    while True:
        key = rng.randbytes(32)
        if all(telling(key[at : at + WORD]) for at in range(0, len(key), WORD)):
            return key
