"""Hex dumps of tools, debuggers and firmware logs. Every line must be part of it, and offsets must follow each other.

The known dumps are those of xxd, ``hexdump -C``, ``od -t x1``, certutil, Wireshark, PowerShell's Format-Hex, the logs
of Zephyr and ESP-IDF, Zephyr's shell, OpenSSL, Mbed TLS, U-Boot (``md.b``), J-Link (``mem8``), OpenOCD (``mdb``), gdb
(``x/xb``) and LLDB.
Words of 16 bits and more are refused: they have the machine's byte order, which the file does not name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["read_digits", "read_dump"]

# The offset or address of a line, with the symbol that gdb prints and the mark that the tool puts after it.
_OFFSET = re.compile(
    r"(?P<prefix>0[xX])?(?P<at>[0-9a-fA-F]{4,16})(?: <[^<>]{1,120}>)?(?:(?P<mark>:| =| -(?= ))[ \t]*|[ \t]+|$)"
)
_GROUPS = re.compile(r"(?:[0-9a-fA-F]{2})+(?: (?:[0-9a-fA-F]{2})+)*")
_PREFIXED = re.compile(r"0[xX](?:[0-9a-fA-F]{2})+(?:[ \t]+0[xX](?:[0-9a-fA-F]{2})+)*")
_SIXTEEN = re.compile(r"((?:[0-9a-fA-F]{2} ){15}[0-9a-fA-F]{2}) (\S.{0,31})")
_WORDS = frozenset({4, 8, 16})
"""Digits of a group that may be one number in the machine's byte order."""
# What a logger prints in front of a line: a stamp, a level, a module.
_LOG_HEAD = re.compile(r"(?:\[[\d:.,]+\] ?)?<(?:err|wrn|inf|dbg)> [\w.]+:|[EWIDV]: |[EWIDV] \(\d+\) [\w.-]+: ")
# Lines above a dump: a debugger's command line, Format-Hex's heading, a library's title.
_HEADING = re.compile(
    r"(?:J-Link|\(gdb\)|\(lldb\)|>|=>).*|(?:Path|Label) ?:.*|Offset Bytes +Ascii|00 01 02 03 04 05 06 07 08 09 0A 0B 0C"
    r" 0D 0E 0F|[- ]+|(?:\w+: )?dumping '[^']*' \(\d+ bytes\)"
)
MAX_DUMP = 64 << 20
"""The most bytes that a dump may stand for: a ``*`` line may repeat any number of bytes."""


@dataclass(frozen=True, slots=True)
class _DumpLine:
    offset: str  # as printed; empty when there is none
    content: bytes
    shown: bool  # the line shows the bytes again as text, after the hex


def read_dump(text: str) -> bytes | None:
    """The bytes of a dump; None when the text is no dump.

    Raises:
        ValueError: it is a dump, but its offsets do not follow each other, or the byte order of its words is unknown.
    """
    lines = text.splitlines()
    while lines and (not lines[0].strip() or _HEADING.fullmatch(lines[0].strip())):
        del lines[0]
    offsets = _has_offsets(lines)
    parsed: list[_DumpLine | None] = []  # None: the previous line is repeated
    for line in lines:
        head = _LOG_HEAD.match(line)
        bare = (line[head.end() :] if head else line).strip("\x1b\x04\r\n")
        if not bare.strip():
            continue
        if bare.strip() == "*" and parsed and offsets:
            parsed.append(None)
            continue
        entry = _line(bare, offsets=offsets)
        if entry is None:
            if head is not None:
                continue  # the logger's own words above the dump
            return None
        parsed.append(entry)
    full = [entry for entry in parsed if entry is not None and entry.content]
    if not full or not (offsets or all(entry.shown for entry in full)):
        return None
    return _place(parsed) if offsets else b"".join(entry.content for entry in full)


_DIGITS_ROW = re.compile(r"0{6,16} [0-9a-fA-F]{2}(?: [0-9a-fA-F]{2})*")


def read_digits(text: str) -> bytes | None:
    """The bytes of a dump that holds nothing but digits and blanks (``od``), and would be plain hex as well.

    None when the text is no dump. If its offsets do not follow each other, it is read as hex.
    """
    lines = text.split("\n", 2)
    if len(lines) < 2 or _DIGITS_ROW.fullmatch(lines[0].strip()) is None:
        return None
    try:
        return read_dump(text)
    except ValueError:
        return None


def _has_offsets(lines: list[str]) -> bool:
    first = next((line for line in lines if line.strip() and not _LOG_HEAD.match(line)), "")
    if not first:  # every line has a logger's head
        found = (_LOG_HEAD.match(line) for line in lines)
        first = next((line[head.end() :] for line, head in zip(lines, found, strict=True) if head), "")
    match = _OFFSET.match(first.strip())
    if match is None:
        return False
    if match["mark"]:
        return True
    groups = first.strip()[match.end() :].split()
    if match["prefix"]:  # an address in front of bytes; "0x" in front of every number is a list of numbers
        return bool(groups) and not groups[0].lower().startswith("0x")
    # Without a mark, only zero is known to be an offset: any other group of digits may be content.
    alone = len(match["at"]) >= 6 or bool(groups and len(groups[0]) == 2)
    return int(match["at"], 16) == 0 and alone


def _line(bare: str, *, offsets: bool) -> _DumpLine | None:
    rest, offset = bare.strip(), ""
    if offsets:
        match = _OFFSET.match(rest)
        if match is None:
            return None
        offset, rest = match["at"], rest[match.end() :]
        if match["mark"] == " -":  # OpenSSL marks the middle of a row
            rest = re.sub(r"(?<=[0-9a-fA-F]{2})-(?=[0-9a-fA-F]{2})", " ", rest, count=1)
        if _PREFIXED.fullmatch(rest.strip()):  # gdb
            rest = re.sub(r"0[xX]", "", " ".join(rest.split()))
    digits, shown = _parts(re.sub(r"\t", "  ", rest))
    if not digits:
        return _DumpLine(offset, b"", shown) if offsets else None
    if not _GROUPS.fullmatch(digits):
        return None
    widths = {len(group) for group in digits.split()}
    if offset and not shown and widths & _WORDS:
        bits = 4 * max(widths & _WORDS)
        raise ValueError(f"{bits}-bit words without a byte order (dump bytes: xxd, hexdump -C, mem8, mdb, x/xb)")
    return _DumpLine(offset, bytes.fromhex(digits), shown)


def _parts(rest: str) -> tuple[str, bool]:
    """The hex of a line, and whether a text that agrees with it follows; the first split in which both agree."""
    before, _, behind = rest.partition("  ")
    splits = [(before, behind.strip(" "), True)]
    bar = rest.find("|")
    while bar >= 0:  # two blanks may stand between groups of eight; the text itself may have bars
        splits.append((" ".join(rest[:bar].split()), rest[bar + 1 :], True))
        bar = rest.find("|", bar + 1)
    if rest.rstrip().endswith("<") and " >" in rest:  # od -t x1z
        left, _, right = rest.rstrip()[:-1].partition("  >")
        splits.append((" ".join(left.split()), right, True))
    if (row := _SIXTEEN.fullmatch(rest.rstrip())) is not None:  # Format-Hex puts one blank in front of the text
        splits.append((row[1], row[2], True))
    gap = rest.rfind("   ")
    if gap > 0:  # two blanks between groups of eight, and three in front of the text
        splits.append((" ".join(rest[:gap].split()), rest[gap:].strip(" "), True))
    splits.append((" ".join(rest.split()), "", False))
    for digits, text, shown in splits:
        if _GROUPS.fullmatch(digits.strip()) and (not text or _shows(bytes.fromhex(digits.replace(" ", "")), text)):
            return digits.strip(), shown and bool(text)
    return rest.strip(), False


def _shows(content: bytes, text: str) -> bool:
    """Whether a dump may show these bytes as this text: each printable byte as itself or as a dot, in its place."""
    if len(content) > len(text) + content.count(0x20):
        return False
    pairs = list(zip(content, text, strict=False))
    lead = next((index for index, byte in enumerate(content) if byte != 0x20), len(content))
    if lead and not text.startswith(" "):  # blanks in front were stripped
        pairs = list(zip(content[lead:], text, strict=False))
    return all(char == chr(byte) or char == "." for byte, char in pairs if 0x20 < byte < 0x7F) and all(
        char == "." or not char.isascii() or byte in {0x20, 0x7F} for byte, char in pairs if not 0x20 < byte < 0x7F
    )


def _place(parsed: list[_DumpLine | None]) -> bytes:
    """Put the lines at their offsets, which are hexadecimal, octal (``od``) or decimal (``od -A d``)."""
    first = next(entry for entry in parsed if entry is not None)
    problem = ""
    for base in (16, 8, 10) if len(first.offset) == 7 else (16, 10):
        data, wrong = _placed(parsed, base)
        if not wrong:
            return data
        problem = problem or wrong
    raise ValueError(problem)


def _placed(parsed: list[_DumpLine | None], base: int) -> tuple[bytes, str]:
    """The bytes, and what is wrong with the offsets when they are read in this base (empty: nothing)."""
    out, last, repeat, start = bytearray(), b"", False, -1
    for entry in parsed:
        if entry is None:
            repeat = True
            continue
        try:
            at = int(entry.offset, base)
        except ValueError:
            return b"", f"offset {entry.offset}"
        start = at if start < 0 else start
        if at - start > MAX_DUMP:
            return b"", f"offset {entry.offset} is too large"
        while repeat and last and len(out) < at - start:
            out += last
        repeat = False
        if at - start != len(out):
            return b"", f"offset {entry.offset} does not follow {len(out):#x} bytes"
        out += entry.content
        last = entry.content
    return bytes(out), ""
