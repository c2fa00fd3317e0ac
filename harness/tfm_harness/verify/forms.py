"""One decoder for the forms in which tools write evidence and images: bytes in, bytes and the form's name out.

Binary is returned unchanged; an ELF file gives the content that it loads. The form of a text is decided by the whole
text, never by its first bytes: PEM, Intel HEX, S-records, a dump of a tool, debugger or log, an array or string of C or
Python, hex with any of the usual separators, base64 or base64url, quoted or in a data URI. A text in none of these
forms is refused: it is no evidence, and a verdict on it would blame the product for the form of a file.
"""

from __future__ import annotations

import ast
import base64
import binascii
import re
from dataclasses import dataclass

from tfm_harness.encodings import plain_text
from tfm_harness.errors import ConfigError
from tfm_harness.verify import elf, hexfiles
from tfm_harness.verify.dumps import read_digits, read_dump

__all__ = ["Decoded", "UnknownFormError", "decode", "name_of_text"]

MIN_TEXT = 8
"""The fewest characters that are read as hex or base64; a shorter text may be anything."""

MIN_CUT_HEX = 24
"""A text of at least so many hex digits of one case, an odd number, is hex that lost a digit, and not base64."""

_HEX_DIGITS = re.compile(r"(?:0[xX])?(?:[0-9a-f]+|[0-9A-F]+)")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+=*|[A-Za-z0-9_-]+=*")
_PEM_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]{1,2}|\d{1,3})(?:[uU]8?)?")
_SUFFIX = re.compile(r"[uU]8?\Z")
_BRACKETS = re.compile(r"(?:[^=\[\]]{0,200}(?:&?\[[^=\[\]]{0,80}\])?\s*=\s*)?&?\[(?P<body>[^\[\]]*)\];?")
_ESCAPES = re.compile(r"[bB]?[\"'](?:\\x[0-9a-fA-F]{2})+[\"']|(?:\\x[0-9a-fA-F]{2})+")
_PADDING = (b"\x00", b"\xff")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal's log
_LITERAL = re.compile(r"[bB](?:'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")")  # as Python shows bytes
_QUOTED = re.compile(r"(?P<kind>h|x|X|H|b64|)(?P<mark>['\"])(?P<content>[^'\"]*)(?P=mark)[,;]?")
_DATA_URI = re.compile(r"data:[\w.+/;=-]*;base64,(?P<content>[A-Za-z0-9+/=_-]*)")
_SEPARATORS = re.compile(r"[\s:,;_-]+")


class UnknownFormError(ConfigError):
    """A text whose form is none that stands for bytes, or a container that is not unpacked."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The bytes, the name of the form in which they were written, and (Intel HEX, S-records, ELF) the first address."""

    data: bytes
    form: str
    address: int | None = None


def decode(data: bytes, *, what: str = "evidence", where: str = "", json_is: bool = False) -> Decoded:
    """The bytes that a file stands for.

    Args:
        data: the file.
        what: named in errors.
        where: the file's name, for errors.
        json_is: whether the expected content may be JSON (a JWK), which is then returned unchanged.

    Raises:
        UnknownFormError: kind ``form``: text in an unknown form, a known form that is broken, or an archive.
    """
    if data.startswith(elf.MAGIC):
        return _decode_elf(data, what, where)
    text = plain_text(data)
    if text is None and data[-1:] in _PADDING:
        text = plain_text(data.rstrip(data[-1:]))  # padding of a flash page or a fixed buffer
    if text is None:
        container = _container(data)
        if container is not None:
            raise _refused(what, where, container, why="in a container that is not opened")
        return Decoded(data, "binary")
    stripped = _COLOURS.sub("", text).strip()
    if json_is and stripped[:1] == "{":
        return Decoded(stripped.encode(), "JSON")
    try:
        found = _decode_text(stripped)
    except ValueError as error:
        raise _refused(what, where, f"{name_of_text(stripped)}, which is broken: {error}") from None
    if found is None:
        raise _refused(what, where, f"{name_of_text(stripped)}, beginning with {stripped[:40]!r}")
    return found


_MANGLED = "bytes that went through a text encoding, which destroys them: copy the file as binary"
_CONTAINERS = (
    (0, b"PK\x03\x04", "a zip archive (a DFU package?): unpack it and name the image in it"),
    (0, b"\x1f\x8b\x08", "gzip: unpack it"),
    (0, b"BZh", "bzip2: unpack it"),
    (0, b"\xfd7zXZ\x00", "xz: unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "zstd: unpack it"),
    (0, b"UF2\n\x57\x51\x5d\x9e", "UF2: name the image that it was made of (.bin or .hex)"),
    (0, b"DfuSe", "a DfuSe file: name the image that it was made of (.bin or .hex)"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (0, b"=\xc2\xb8\xc3\xb3\xc2\x96", _MANGLED),
    (0, b"=\xef\xbf\xbd", _MANGLED),
    (0, b"\xc3\x92\xc2\x84C", _MANGLED),
    (4, b"TFL3", "a TFLite model without a signature"),
    (257, b"ustar", "a tar archive: unpack it"),
)  # fmt: skip


def _container(data: bytes) -> str | None:
    """The kind of container file (an archive, for instance) that these bytes begin; None when they begin none."""
    return next((name for at, magic, name in _CONTAINERS if data.startswith(magic, at)), None)


def _decode_elf(data: bytes, what: str, where: str) -> Decoded:
    try:
        address, loaded = elf.flash_bytes(data)
    except elf.ElfError as error:
        raise UnknownFormError(
            f"the {what} is an ELF file that cannot be read: {error.message}", kind="form", seen=error.where,
            where=where or None, expected="a 32-bit little-endian ELF file that loads one image",
            hint="give the signed image itself, which the build writes beside the ELF file (.bin or .hex)",
        ) from None  # fmt: skip
    return Decoded(loaded, "ELF", address)


def _refused(
    what: str, where: str, seen: str, *, why: str = "text in a form that stands for no bytes"
) -> UnknownFormError:
    return UnknownFormError(
        f"the {what} is {why}", kind="form", seen=seen, where=where or None,
        expected="binary, hex, base64 or base64url, an array of C or Python, a hex dump of bytes (xxd, hexdump -C,"
        " Zephyr, J-Link, OpenOCD, gdb), PEM, Intel HEX, S-records or ELF",
    )  # fmt: skip


def _decode_text(text: str) -> Decoded | None:
    quoted = _QUOTED.fullmatch(text) or _DATA_URI.fullmatch(text)
    if quoted is not None and not _ESCAPES.fullmatch(text):
        return _decode_text(quoted["content"].strip())
    if _LITERAL.fullmatch(text):
        return _literal(text)
    begin = _PEM_BEGIN.search(text)
    end = text.find(f"-----END {begin[1]}-----", begin.end()) if begin else -1
    if begin is not None and end >= 0:
        return Decoded(_base64("".join(text[begin.end() : end].split())), f"PEM {begin[1]}")
    for name, looks_like, read in (
        ("Intel HEX", hexfiles.looks_like_ihex, hexfiles.read_ihex),
        ("S-records", hexfiles.looks_like_srec, hexfiles.read_srec),
    ):
        if looks_like(text):
            address, data = read(text)
            return Decoded(data, name, address)
    for form, value in (
        ("hex dump", read_digits(text)),
        ("hex", _plain_hex(text)),
        ("hex dump", read_dump(text)),
        ("C array", _c_array(text)),
        ("string of escapes", _escapes(text)),
        ("hex", _separated_hex(text)),
    ):
        if value:
            return Decoded(value, form)
    packed = _unwrapped(text)
    if packed is None or text.startswith("-----") or not _BASE64.fullmatch(packed):
        return None
    if len(packed) >= MIN_CUT_HEX and _HEX_DIGITS.fullmatch(packed):
        raise ValueError(f"{len(packed)} digits, an odd number")  # an even number was read above
    if len(packed) >= MIN_TEXT and len(packed.rstrip("=")) % 4 != 1:
        url = "-" in packed or "_" in packed
        return Decoded(_base64(packed), "base64url" if url else "base64")
    return None


def _literal(text: str) -> Decoded:
    """A bytes literal of Python, in which printable bytes are written as themselves."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"a literal of Python: {error}") from None
    return Decoded(value, "bytes as Python shows them")


def _unwrapped(text: str) -> str | None:
    """The one word of which the text consists; else None. It may be broken into lines of one length (the last shorter).

    Several words on a line are not read as base64: octal dumps and the like would be mistaken for it.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(len(line.split()) != 1 for line in lines):
        return None
    lengths = {len(line) for line in lines[:-1]}
    return "".join(lines) if lines and len(lengths) <= 1 and len(lines[-1]) <= max(lengths, default=1 << 62) else None


def _base64(packed: str) -> bytes:
    """Base64 or base64url, with or without padding; if there is padding, it must be right."""
    bare = packed.rstrip("=")
    padding = len(packed) - len(bare)
    if padding and (padding > 2 or len(packed) % 4):
        raise ValueError("its padding does not fit its length")
    try:
        return base64.b64decode(bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _plain_hex(text: str) -> bytes | None:
    packed = _unwrapped(text)
    if packed is None:
        parts = text.split()
        if any(len(part) % 2 for part in parts):
            return None  # octal or decimal numbers, or hex that lost digits
        packed = "".join(parts)
    packed = packed.removeprefix("0x").removeprefix("0X")
    return bytes.fromhex(packed) if len(packed) >= MIN_TEXT and _HEX.fullmatch(packed) else None


def _separated_hex(text: str) -> bytes | None:
    """Hex bytes with ``0x`` before them, or colons, blanks, commas or dashes between; each part has an even length."""
    parts = [part for part in _SEPARATORS.split(text.strip("{}[]()<>\"'; \n")) if part]
    bare = [part.removeprefix("0x").removeprefix("0X") for part in parts]
    if not bare or sum(map(len, bare)) < MIN_TEXT or not all(_HEX.fullmatch(part) for part in bare):
        return None
    prefixed = sum(part != short for part, short in zip(parts, bare, strict=True))
    if prefixed not in {0, 1, len(parts)}:
        return None
    if 1 < len(parts) == prefixed and max(map(len, bare)) > 2:
        raise ValueError("numbers of more than one byte, without a byte order")
    return bytes.fromhex("".join(bare))


def _c_array(text: str) -> bytes | None:
    bare = _without_comments(text)
    if (brackets := _BRACKETS.fullmatch(bare.strip())) is not None:  # Python, Rust, JSON
        bare = "{" + brackets["body"] + "}"
    opening = bare.rfind("{")
    closing = bare.find("}", opening)
    if (opening >= 0) != (closing >= 0) or bare.count("{") > 1:
        return None
    body = bare[opening + 1 : closing] if opening >= 0 else bare
    parts = [part.strip() for part in body.split(",")]
    if parts and not parts[-1]:
        parts.pop()  # a comma follows the last element
    if len(parts) < 2 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    hexadecimal = [part[:2] in {"0x", "0X"} for part in parts]
    if opening < 0 and not all(hexadecimal):
        return None  # decimal numbers without a brace may be anything
    values = [int(_SUFFIX.sub("", part), 16 if is_hex else 10) for part, is_hex in zip(parts, hexadecimal, strict=True)]
    if max(values) > 255:
        raise ValueError("an element is no byte")
    return bytes(values)


def _without_comments(text: str) -> str:
    kept, at = [], 0
    while (begin := text.find("/*", at)) >= 0:
        end = text.find("*/", begin + 2)
        if end < 0:
            break
        kept.append(text[at:begin])
        at = end + 2
    kept.append(text[at:])
    return "\n".join(line.partition("//")[0] for line in "".join(kept).split("\n"))


def _escapes(text: str) -> bytes | None:
    pieces = text.split()
    if not pieces or not all(_ESCAPES.fullmatch(piece) for piece in pieces):
        return None
    return bytes.fromhex("".join(re.findall(r"\\x([0-9a-fA-F]{2})", text)))


_NAMES = (
    (re.compile(r"version https://(?:git-lfs|hawser)\.github\.com/"),
     "a Git LFS pointer (fetch the file itself: git lfs pull)"),
    (re.compile(r"\S*/annex/objects/\S*\s*\Z"), "a git-annex pointer (fetch the file itself: git annex get)"),
    (re.compile(r"(?:md5: \w+\n.*\n)?outs:\s*\n- +md5:"), "a DVC pointer (fetch the file itself: dvc pull)"),
    (re.compile(r"\s*(?:<!--.*?-->\s*)*(?:<!doctype html|<html|<head|<\?xml[^>]*>\s*<html)", re.IGNORECASE | re.DOTALL),
     "an HTML page (an error page or a preview: download the file itself)"),
    (re.compile(r"\s*<\?xml[^>]*>\s*<Error>"), "a storage server's error: download the file again"),
    (re.compile(r"\s*<\?xml"), "XML"),
    (re.compile(r"(?:404\b|Not Found|Entry not found|Invalid username|Access denied|Forbidden|Unauthorized)"
                r".{0,80}\s*\Z", re.IGNORECASE),
     "a server's answer that it has no such file: download the file itself"),
    (re.compile(r"\s*[{\[]\s*[\"{\[]"), "JSON"),
    (re.compile(r"-----BEGIN "), "PEM without an end"),
    (re.compile(r":[0-9A-Fa-f]{10}"), "Intel HEX"),
    (re.compile(r"S[0-9][0-9A-Fa-f]{6}"), "S-records"),
    (re.compile(r"(?:\s*(?:#include|#define|#ifn?def|//|/\*).*\n)*\s*(?:alignas\(\d+\)\s*)?"
                r"(?:(?:static|extern|const|constexpr)\s+)*(?:unsigned char|uint8_t|char|std::array)\b"), "a C array"),
    (re.compile(r"[0-9a-fA-F]+(?:\s|$)"), "hex digits"),
    (re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}(?:\s|\Z)"), "base64"),
    (re.compile(r"(?:\.{1,2}/|/|[\w.-]+/)[\w./ -]{1,200}\Z"),
     "a path alone (a link of a checkout that makes no links: give the file that it names)"),
)  # fmt: skip


def name_of_text(text: str) -> str:
    """What a text looks like, in words."""
    return next((name for form, name in _NAMES if form.match(text)), "plain text")
