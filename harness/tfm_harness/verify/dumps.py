"""Hex dumps: xxd, ``hexdump -C``, ``od -t x1``, Zephyr's log and shell. Every line must be one, offsets must follow."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["read_dump"]

_OFFSET = re.compile(r"(?P<at>[0-9a-fA-F]{4,16})(?::[ \t]*|[ \t]+|$)")
_GROUPS = re.compile(r"(?:[0-9a-fA-F]{2})+(?: (?:[0-9a-fA-F]{2})+)*")
# What a logger prints in front of a line: a stamp, a level, a module.
_LOG_HEAD = re.compile(r"(?:\[[\d:.,]+\] ?)?<(?:err|wrn|inf|dbg)> [\w.]+:|[EWID]: ")
MAX_DUMP = 64 << 20
"""Most bytes that a dump may stand for: a ``*`` line repeats as many as it likes."""


@dataclass(frozen=True, slots=True)
class _DumpLine:
    offset: str  # as printed; empty when there is none
    content: bytes
    shown: bool  # the bytes stand behind the hex as text again


def read_dump(text: str) -> bytes | None:
    """The bytes of a dump; None when the text is none.

    Raises:
        ValueError: it is one, and offsets do not follow each other, or its words have no byte order.
    """
    lines = text.splitlines()
    offsets = _has_offsets(lines)
    parsed: list[_DumpLine | None] = []  # None: the line before repeats
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


def _has_offsets(lines: list[str]) -> bool:
    first = next((line for line in lines if line.strip() and not _LOG_HEAD.match(line)), "")
    match = _OFFSET.match(first.strip())
    # Without a colon, an offset is known by being zero: any other group of digits may be the content.
    return match is not None and (":" in match[0] or (int(match["at"], 16) == 0 and len(match["at"]) >= 6))


def _line(bare: str, *, offsets: bool) -> _DumpLine | None:
    rest, offset = bare.strip(), ""
    if offsets:
        match = _OFFSET.match(rest)
        if match is None:
            return None
        offset, rest = match["at"], rest[match.end() :]
    digits, shown = _parts(re.sub(r"\t", "  ", rest))
    if not digits:
        return _DumpLine(offset, b"", shown) if offsets else None
    if not _GROUPS.fullmatch(digits):
        return None
    if len(offset) == 7 and all(len(group) == 4 for group in digits.split()) and not shown:
        raise ValueError("16-bit words without a byte order (use hexdump -C or xxd)")
    return _DumpLine(offset, bytes.fromhex(digits), shown)


def _parts(rest: str) -> tuple[str, bool]:
    """The hex of a line, and whether its bytes stand behind it as text: the split in which both agree."""
    before, _, behind = rest.partition("  ")
    splits = [(before, behind.strip(" "), True)]
    bar = rest.find("|")
    while bar >= 0:  # two blanks may stand between groups of eight; the text itself may have bars
        splits.append((" ".join(rest[:bar].split()), rest[bar + 1 :], True))
        bar = rest.find("|", bar + 1)
    splits.append((" ".join(rest.split()), "", False))
    for digits, text, shown in splits:
        if _GROUPS.fullmatch(digits.strip()) and (not text or _shows(bytes.fromhex(digits.replace(" ", "")), text)):
            return digits.strip(), shown and bool(text)
    return rest.strip(), False


def _shows(content: bytes, text: str) -> bool:
    """Whether a dump may show these bytes by this text: printable ones as themselves or a dot, in their places."""
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
    """Put the lines where their offsets say: hex, or octal as ``od`` prints by default."""
    first = next(entry for entry in parsed if entry is not None)
    problem = ""
    for base in (16, 8) if len(first.offset) == 7 else (16,):
        data, wrong = _placed(parsed, base)
        if not wrong:
            return data
        problem = problem or wrong
    raise ValueError(problem)


def _placed(parsed: list[_DumpLine | None], base: int) -> tuple[bytes, str]:
    """The bytes, and what is wrong with the offsets in this base."""
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
