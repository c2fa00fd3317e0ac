"""The forms in which tools write evidence and images: each read right, or refused by name."""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.cli.main import main
from tfm_harness.encodings import plain_text, utf16_codec
from tfm_harness.verify.elf import MAGIC
from tfm_harness.verify.forms import UnknownFormError, decode

from tests.examples import few
from tests.verify.verify_kit import KEY

INPUTS = Path(__file__).resolve().parents[3] / "shared" / "inputs"


def given_file(name: str) -> Path:
    path = INPUTS / name
    if not path.is_file():
        pytest.skip(f"the input {name} is not present beside the checkout")
    return path


def c_array(data: bytes) -> str:
    rows = ", ".join(f"0x{byte:02x}" for byte in data)
    return f"/* a token */\nstatic const uint8_t token[{len(data)}] = {{\n  {rows}, // end\n}};\n"


def xxd(data: bytes) -> str:
    out = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        groups = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        out.append(f"{at:08x}: {groups:<39}  {shown}")
    return "\n".join(out) + "\n"


def zephyr_log(data: bytes) -> str:
    out = ["[00:00:01.234,000] <inf> app: token"]
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        halves = [" ".join(f"{byte:02x}" for byte in half) for half in (row[:8], row[8:]) if half]
        shown = "".join(chr(byte) if 32 <= byte < 127 and byte != 0x7C else "." for byte in row)
        out.append(f"{'':30}{'  '.join(halves):<48} |{shown}")
    return "\n".join(out) + "\n"


def zephyr_shell(data: bytes) -> str:
    out = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        out.append(f"{at:08X}: {' '.join(f'{byte:02x}' for byte in row):<48}|{shown:<16}|")
    return "\n".join(out) + "\n"


def shown_as_text(row: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)


def rows_of(data: bytes, line: Callable[[int, bytes], str], *, width: int = 16, base: int = 0x2000_0400) -> str:
    return "\n".join(line(base + at, data[at : at + width]) for at in range(0, len(data), width)) + "\n"


def spaced(row: bytes) -> str:
    return " ".join(f"{byte:02x}" for byte in row)


def halves(row: bytes) -> str:
    return "  ".join(spaced(half) for half in (row[:8], row[8:]) if half)


def gdb(data: bytes, symbol: str = "") -> str:
    def line(at: int, row: bytes) -> str:
        name = f" <{symbol}{f'+{at - 0x2000_0400}' if at > 0x2000_0400 else ''}>" if symbol else ""
        return f"0x{at:x}{name}:\t" + "\t".join(f"0x{byte:02x}" for byte in row)

    return "(gdb) x/90xb token\n" + rows_of(data, line, width=8)


def format_hex(data: bytes) -> str:
    """PowerShell 7."""
    head = (
        "\r\n   Label: token\r\n\r\n          Offset Bytes                                           Ascii\r\n"
        "                 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F\r\n          ------ "
        "----------------------------------------------- -----\r\n"
    )
    return head + rows_of(data, lambda at, row: f"{at:016X} {spaced(row).upper():<47} {shown_as_text(row)}", base=0)


def ihex(data: bytes, base: int = 0x0800_8000) -> str:
    def record(at: int, kind: int, content: bytes) -> str:
        body = bytes([len(content)]) + at.to_bytes(2, "big") + bytes([kind]) + content
        return ":" + (body + bytes([-sum(body) & 0xFF])).hex().upper()

    out, high = [], None
    for offset in range(0, len(data), 16):
        at = base + offset
        if at >> 16 != high:
            high = at >> 16
            out.append(record(0, 4, high.to_bytes(2, "big")))
        out.append(record(at & 0xFFFF, 0, data[offset : offset + 16]))
    return "\r\n".join([*out, record(0, 1, b"")]) + "\r\n"


def srec(data: bytes, base: int = 0x0800_8000, size: int = 4) -> str:
    """S3, S2 or S1 records, by the size of an address, with their count and their end."""

    def record(kind: int, address: bytes, content: bytes) -> str:
        body = bytes([len(address) + len(content) + 1]) + address + content
        return f"S{kind}" + (body + bytes([~sum(body) & 0xFF])).hex().upper()

    rows = [record(size - 1, (base + at).to_bytes(size, "big"), data[at : at + 28]) for at in range(0, len(data), 28)]
    count = record(5, len(rows).to_bytes(2, "big"), b"")
    return "\n".join([record(0, b"\0\0", b"HDR"), *rows, count, record(11 - size, bytes(size), b"")]) + "\n"


def elf_file(
    *parts: tuple[int, bytes], sections: bool = False, ident: bytes = b"\x7fELF\x01\x01\x01", cut: int = 0
) -> bytes:
    """An ELF file of Arm whose program headers, or only section headers, load `parts`."""
    size, head = (40, 52) if sections else (32, 52)
    at = head + size * len(parts)
    table, body = b"", b""
    for address, content in parts:
        if sections:
            table += struct.pack("<IIIIIIIIII", 0, 1, 2, address, at + len(body), len(content), 0, 0, 1, 0)
        else:
            table += struct.pack("<IIIIIIII", 1, at + len(body), 0x3000_0000, address, len(content), len(content), 5, 4)
        body += content
    counts = (0, 0, size, len(parts)) if sections else (size, len(parts), 0, 0)
    places = (0, head) if sections else (head, 0)
    header = ident.ljust(16, b"\0") + struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0, *places, 0, head, *counts, 0)
    whole = header + table + body
    return whole[: len(whole) - cut]


WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda data: data,
    "hex": lambda data: data.hex().encode(),
    "hex in lines": lambda data: "\r\n".join(data.hex()[i : i + 64] for i in range(0, 2 * len(data), 64)).encode(),
    "hex 0x": lambda data: b"0x" + data.hex().upper().encode() + b"\n",
    "hex with colons": lambda data: data.hex(":").encode(),
    "hex with blanks": lambda data: data.hex(" ").encode(),
    "0x each": lambda data: ", ".join(f"0x{byte:02X}" for byte in data).encode(),
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 unpadded": lambda data: base64.b64encode(data).rstrip(b"="),
    "base64url": base64.urlsafe_b64encode,
    "base64url unpadded": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "PEM": lambda data: b"-----BEGIN X-----\n" + base64.encodebytes(data) + b"-----END X-----\n",
    "C array": lambda data: c_array(data).encode(),
    "C escapes": lambda data: ('"' + "".join(f"\\x{byte:02x}" for byte in data) + '"').encode(),
    "xxd": lambda data: xxd(data).encode(),
    "Zephyr log": lambda data: zephyr_log(data).encode(),
    "Zephyr shell": lambda data: zephyr_shell(data).encode(),
    "J-Link mem8": lambda data: rows_of(
        data, lambda at, row: f"{at:08X} = {spaced(row).upper()}  {shown_as_text(row)}"
    ).encode(),
    "OpenOCD mdb": lambda data: rows_of(data, lambda at, row: f"0x{at:08x}: {spaced(row)} ", width=32).encode(),
    "gdb x/xb": lambda data: gdb(data).encode(),
    "gdb x/xb with a symbol": lambda data: gdb(data, "app_token").encode(),
    "LLDB": lambda data: rows_of(data, lambda at, row: f"0x{at:08x}: {spaced(row)}  {shown_as_text(row)}").encode(),
    "U-Boot md.b": lambda data: rows_of(
        data, lambda at, row: f"{at:08x}: {spaced(row)}    {shown_as_text(row)}"
    ).encode(),
    "certutil": lambda data: rows_of(
        data, lambda at, row: f"{at:04x}\t{halves(row)}   {shown_as_text(row)}", base=0
    ).encode(),
    "Wireshark": lambda data: rows_of(
        data, lambda at, row: f"{at:04x}   {spaced(row)}   {shown_as_text(row)}", base=0
    ).encode(),
    "Format-Hex": lambda data: format_hex(data).encode(),
    "od -A x -t x1": lambda data: (
        rows_of(data, lambda at, row: f"{at:06x} {spaced(row)}", base=0) + f"{len(data):06x}\n"
    ).encode(),
    "od -A d -t x1": lambda data: (
        rows_of(data, lambda at, row: f"{at:07} {spaced(row)}", base=0) + f"{len(data):07}\n"
    ).encode(),
    "od -t x1": lambda data: (
        rows_of(data, lambda at, row: f"{at:07o} {spaced(row)}", base=0) + f"{len(data):07o}\n"
    ).encode(),
    "od -t x1z": lambda data: rows_of(
        data, lambda at, row: f"{at:06x} {spaced(row)}  >{shown_as_text(row)}<", base=0
    ).encode(),
    "OpenSSL dump": lambda data: rows_of(
        data,
        lambda at, row: f"{at:04x} - {'-'.join(spaced(h) for h in (row[:8], row[8:]) if h)}   {shown_as_text(row)}",
        base=0,
    ).encode(),
    "ESP-IDF log": lambda data: rows_of(
        data, lambda at, row: f"I (123) app: 0x{at:08x}   {halves(row):<48}  |{shown_as_text(row):<16}|"
    ).encode(),
    "Zephyr log in colour": lambda data: ("\x1b[0m" + zephyr_log(data) + "\x1b[0m\r\n").encode(),
    "Python bytes": lambda data: repr(data).encode(),
    "Python list": lambda data: repr(list(data)).encode(),
    "Rust array": lambda data: (
        f"static TOKEN: &[u8; {len(data)}] = &[\n{', '.join(f'0x{byte:02x}' for byte in data)},\n];\n".encode()
    ),
    "Rust list": lambda data: ("[" + ", ".join(f"{byte}u8" for byte in data) + "]").encode(),
    "CBOR diagnostic": lambda data: f"h'{data.hex()}'".encode(),
    "base64 in quotes": lambda data: b'"' + base64.b64encode(data) + b'"\n',
    "data URI": lambda data: b"data:application/cose;base64," + base64.b64encode(data),
    "hex before erased flash": lambda data: data.hex().encode() + b"\xff" * 40,
    "base64 in a fixed buffer": lambda data: base64.b64encode(data) + bytes(9),
    "S1 records": lambda data: srec(data, 0x1000, 2).encode(),
    "S2 records": lambda data: srec(data, 0x10000, 3).encode(),
    "Intel HEX": lambda data: ihex(data).encode(),
    "S-records": lambda data: srec(data).encode(),
    "ELF": lambda data: elf_file((0x0800_8000 + 7, data[7:]), (0x0800_8000, data[:7])),
    "ELF by sections": lambda data: elf_file((0x1000, data), sections=True),
    "hex with BOM": lambda data: data.hex().encode("utf-8-sig"),
    "hex in UTF-16": lambda data: data.hex().encode("utf-16"),
    "base64 in UTF-16 BE without BOM": lambda data: base64.b64encode(data).decode().encode("utf-16-be"),
    "xxd in UTF-16": lambda data: xxd(data).encode("utf-16"),
}
# Evidence is never text itself: its first byte is a tag (COSE), a SEQUENCE with a long length, or MCUboot's magic.
EVIDENCE = st.builds(
    lambda head, rest: head + rest,
    st.sampled_from([b"\xd2\x84\x43", b"\x30\x82\x01\x00", b"\x3d\xb8\xf3\x96"]),
    st.binary(min_size=13, max_size=90),
)


@pytest.mark.examples
@pytest.mark.parametrize("form", sorted(WRITERS))
@settings(max_examples=few(60), deadline=None)
@given(EVIDENCE)
def test_what_is_written_in_a_form_is_read_back(form: str, data: bytes) -> None:
    assert decode(WRITERS[form](data)).data == data


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_anything_is_bytes_or_a_named_refusal(data: bytes) -> None:
    if plain_text(data) is None:
        with contextlib.suppress(UnknownFormError):
            found = decode(data)
            padded = data[-1:] in {b"\0", b"\xff"} and plain_text(data.rstrip(data[-1:])) is not None
            assert (found.form, found.data) == ("binary", data) or data.startswith(MAGIC) or padded
        return
    with contextlib.suppress(UnknownFormError):
        assert decode(data).form != "binary"


@pytest.mark.parametrize(
    ("lengths", "whole"),
    [
        ([76], True),
        ([20, 56], False),
        ([40, 36], True),
        ([24, 24, 24, 4], True),
        ([19, 19, 19, 19], True),
        ([24, 20, 24, 8], False),
        ([24, 24, 20, 8], False),
        ([24, 24, 28], False),
    ],
)
def test_a_word_is_broken_into_lines_of_one_length(lengths: list[int], whole: bool) -> None:
    """But for the last, which may be shorter: anything else is several words."""
    data = b"\xd2\x84\x43" + bytes(range(100, 154))
    packed, at, lines = base64.b64encode(data), 0, []
    for length in lengths:
        lines.append(packed[at : at + length])
        at += length
    assert at == len(packed)
    if whole:
        assert decode(b"\n".join(lines)).data == data
        return
    with pytest.raises(UnknownFormError):
        decode(b"\n".join(lines))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        (b'{"token": "0oRD"}', "JSON"),
        (b"The device said nothing.\n", "plain text"),
        (b":10010000214601360121470136007EFE09D2190140\n", "cut"),
        (b":10010000214601360121470136007EFE09D2190141\n:00000001FF\n", "checksum"),
        (b"S1137AF00A0A0D0000000000000000000000000062\nS9030000FC\n", "checksum"),
        (b"00000000: d284 43a1  ..C.\n00000010: 0126  .&\n", "does not follow"),
        (b"0000000 84d2 a143 2601 59a0\n0000008\n", "byte order"),
        (b"0x20000400: a14384d2 59a02601 4241cc01\n", "32-bit words"),
        (b"20000400 = A14384D2 59A02601 4241CC01\n", "32-bit words"),
        (b"0x20000400:\t0xa14384d2\t0x59a02601\n", "32-bit words"),
        (b"0x20000400: 84d2 a143 2601 59a0\n", "16-bit words"),
        (b"0000000 a14384d2 59a02601 4241cc01\n0000014\n", "32-bit words"),
        (b"0xa14384d2 0x59a02601 0x4241cc01\n", "byte order"),
        (b"20000400: a14384d2 59a02601    ..C..&.Y\n", "plain text"),
        (b"0x20000400: d2 84 43 a1\n0x20000408: 01 26\n", "does not follow"),
        (b"b'\\xd2\\xzz'", "literal of Python"),
        (b"0oRDoQEmoFkBzKoKWEAAAQIDBA===", "padding"),
        (b"d28443a10126a05901ccaa0a584000010", "an odd number"),
        (b"0xD28443A10126A05901CCAA0A584000010", "an odd number"),
        (b"d28443a10126a05901cc\naa0a5840000102030405\n060\n", "hex digits"),
        (b"322 204 103 241 001 046 240 131 001 314 252 012 130 100 000 001", "hex digits"),
        (b"D2h 84h 43h A1h 01h 26h A0h 59h 01h CCh AAh 0Ah 58h 40h 00h 01h", "plain text"),
        (b"0oRDoQEm oFkBzKoK WEAAAQID BAUGBwgJ", "plain text"),
        (b"static const uint8_t t[] = { 0x01, 0x300 };", "a C array"),
        (b"-----BEGIN X-----\nAAAA\n", "PEM without an end"),
    ],
)
def test_other_text_is_refused_by_name(text: bytes, word: str) -> None:
    with pytest.raises(UnknownFormError) as caught:
        decode(text)
    assert word in str(caught.value.seen)


def in_tar(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("image\xfc.bin")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def in_zip(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app_update.bin", data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("pack", "word"),
    [
        (in_zip, "zip archive"),
        (in_tar, "tar archive"),
        (gzip.compress, "gzip"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
        (lambda data: struct.pack("<IIIIIIII", 0x0A324655, 0x9E5D5157, 0, 0, 256, 0, 1, 0) + data, "UF2"),
        (lambda data: b"DfuSe\x01" + data, "DfuSe"),
        (lambda data: b"\x1c\0\0\0TFL3" + data, "TFLite model"),
        (lambda data: (b"\x3d\xb8\xf3\x96" + data).decode("latin-1").encode(), "text encoding"),
        (lambda data: (b"\x3d\xb8\xf3\x96" + data).decode("utf-8", "replace").encode(), "text encoding"),
        (lambda data: (b"\xd2\x84\x43" + data).decode("latin-1").encode(), "text encoding"),
    ],
)
@pytest.mark.parametrize("kind", ["image", "token", "result", "csr"])
def test_what_only_holds_evidence_inside_is_no_fault_of_the_product(
    pack: Callable[[bytes], bytes], word: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, key = tmp_path / "packed", tmp_path / "key.pem"
    path.write_bytes(pack(bytes(range(256)) * 4))
    key.write_bytes(KEY.handle.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert main(["verify", kind, str(path), "--key", str(key)]) == 4
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (elf_file((0, b"x" * 40), cut=1), "ends at"),
        (elf_file((0, b"x" * 40), cut=60), "program header table"),
        (elf_file((0, b"x" * 40), ident=b"\x7fELF\x02\x01\x01"), "32-bit"),
        (elf_file((0, b"x" * 40), ident=b"\x7fELF\x01\x02\x01"), "32-bit"),
        (elf_file((0, b"abcd"), (2, b"efgh")), "loaded twice"),
        (elf_file((0, b"abcd"), (0x1000_0000, b"efgh")), "more than one image"),
        (elf_file((0, b"")), "nothing to load"),
        (elf_file((0, b"x" * 9), sections=True, cut=1), "ends at"),
        (elf_file(sections=True), "section header table"),
        (b"\x7fELF", "32-bit"),
    ],
)
def test_an_elf_file_that_cannot_be_read_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(UnknownFormError, match="an ELF file that cannot be read") as caught:
        decode(data)
    assert word in str(caught.value)


def test_the_gap_between_two_segments_reads_as_erased_flash() -> None:
    found = decode(elf_file((0x20, b"cd"), (0x1C, b"ab")))
    assert (found.form, found.address, found.data) == ("ELF", 0x1C, b"ab\xff\xffcd")


def test_a_signed_image_in_an_elf_file_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same image as Intel HEX and as ELF has the same verdict; one bit of it changed is not verified."""
    hexed = given_file("image/signed.hex")
    image = decode(hexed.read_bytes())
    key = ["--key", str(hexed.parent / "ecdsa-p256.pub.pem")]
    path = tmp_path / "signed.elf"
    path.write_bytes(elf_file((image.address or 0, image.data)))
    assert main(["verify", "image", str(path), *key]) == 0
    path.write_bytes(elf_file((image.address or 0, image.data[:600] + bytes([image.data[600] ^ 1]) + image.data[601:])))
    assert main(["verify", "image", str(path), *key]) == 1
    assert "image.hash" in capsys.readouterr().out
    path.write_bytes(elf_file((0, image.data), cut=9))
    assert main(["verify", "image", str(path), *key]) == 4


@pytest.mark.parametrize(
    "options", [("-I", "binary", "-O", "elf32-littlearm"), ("-I", "ihex", "-O", "elf32-littlearm")]
)
def test_what_objcopy_makes_of_a_signed_image(options: tuple[str, ...], tmp_path: Path) -> None:
    tool = shutil.which("arm-none-eabi-objcopy")
    if tool is None:
        pytest.skip("arm-none-eabi-objcopy is not installed")
    data = bytes(range(256)) * 3
    source, made = tmp_path / "in", tmp_path / "out.elf"
    source.write_bytes(data if "binary" in options else ihex(data).encode())
    subprocess.run([tool, *options, str(source), str(made)], check=True)
    assert decode(made.read_bytes()).data == data


def test_noise_is_no_utf_16() -> None:
    assert utf16_codec(b"\xff\xfe\x80\xe0\x00\xfc" * 20 + b"\r\n[INF] Starting bootloader\r\n") is None
    assert utf16_codec(b"\xff\xfe\xd2\x84" * 9) is None
    assert utf16_codec("token".encode("utf-16")) == "utf-16-le"


@pytest.mark.parametrize(
    "command",
    [("xxd",), ("xxd", "-g1"), ("xxd", "-p"), ("xxd", "-i"), ("hexdump", "-C"), ("od", "-A", "x", "-t", "x1"),
     ("od", "-t", "x1"), ("base64",), ("openssl", "base64"), ("basenc", "--base64url"), ("basenc", "--base16")],
    ids=" ".join,
)  # fmt: skip
def test_what_the_tools_themselves_write(command: tuple[str, ...]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    data = bytes(range(200, 256)) + bytes(64) + bytes(range(77))  # with repeated rows, which hexdump and od squeeze
    written = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    assert decode(written).data == data


@pytest.mark.parametrize("name", ["token.b64url", "token.hex-colon", "token.hex0x", "token.c-array", "token.xxd"])
def test_the_given_tokens_pass(name: str) -> None:
    folder = given_file("token/iak_pub.pem").parent
    options = [
        "--key",
        str(folder / "iak_pub.pem"),
        "--challenge",
        f"@{folder / 'challenge-64.bin'}",
        "--policy",
        "dev",
    ]
    assert main(["verify", "token", str(folder / name), *options]) == 0


@pytest.mark.parametrize("text", ["{a, b}", "{1, b}", "{5}", "{0x05}", "[a, 1]"])
def test_what_is_no_list_of_bytes_is_read_as_none(text: str) -> None:
    with pytest.raises(UnknownFormError):
        decode(text.encode())
