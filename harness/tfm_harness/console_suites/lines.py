"""Turns UART bytes, in any chunks, into clean, numbered, whole lines.

Real consoles end lines with CR LF (TF-M), LF CR (psa-arch-tests) or a bare LF, redraw progress
lines with a bare CR, colour with SGR sequences and leave NUL bytes in TF-M's log lines. Matching pieces of lines often
makes console tests flaky, so only whole lines come out.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["EOT", "MAX_LINE", "Cleaning", "Line", "LineSplitter", "clean", "readings"]

EOT = "\x04"
"""End of transmission: TF-M's test application sends it when its last test is done."""

MAX_LINE = 16_384
"""Bytes kept of one line; a longer line is cut, so that a stream without line ends cannot fill memory."""

_BREAK = re.compile(rb"[\r\n\x04]")
_CONTROL = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI sequences (ECMA-48 s.5.4): colours, cursor movement
    rb"|\x1b\[[0-?]{0,32}\Z"  # a CSI sequence that the line end splits
    rb"|\x1b[@-Z\\-_]"  # other two-byte escapes
    rb"|[\x00-\x08\x0b-\x1f\x7f]"  # NUL and other control characters except TAB
)
_BARE_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
# An escape sequence that a line end splits: its beginning, and its rest on the next line.
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]{0,32})?\Z")
_REST = re.compile(rb"\[?[0-?]{0,32}[A-Za-z]")
# Colours whose escape character got lost on the way (terminal programs, copies from a browser).
_ORPHAN_SGR = re.compile(r"(?:\^\[)?\[\d{1,3}(?:;\d{1,3})*[mK]|\^\[\[m")
_ORPHAN_RESET = re.compile(r"\[[mK]")
# NUL bytes that a terminal program shows as text.
_SHOWN_NUL = re.compile(r"<NUL>|<0x00>|\\x00|\\0(?![0-9])|\^@|\u2400", re.IGNORECASE)
# Escape characters that a recorder shows as text, or as its replacement for characters that it cannot show.
_SHOWN_ESCAPE = re.compile(
    r"(?:<ESC>|<0x1b>|\\x1b|\\e|\\033|\\u001b|\^\[|&#27;|&#x1b;|[\u241b\u2190\ufffd])\[\d{0,3}(?:;\d{1,3})*[mK]",
    re.IGNORECASE,
)
_SHOWN_EOT = re.compile(r"<EOT>|\[EOT\]|<0x04>|\\x04|\\u0004|\^D|&#4;|&#x4;|\u2404", re.IGNORECASE)
_SHOWN_MARKS = ("<", "\\", "^", "&#", "[EOT]", "\u2400", "\u2404", "\u241b", "\u2190", "\ufffd")


class Cleaning(enum.Enum):
    """What was removed from a line before it had a meaning; the value says it in words."""

    NOTHING = "nothing"
    LONE_ESCAPES = "escape characters that begin no sequence"
    SPLIT_ESCAPES = "the rest of escape sequences that a line end splits"
    ORPHAN_COLOURS = "colours whose escape character is lost"
    SHOWN_CONTROLS = "control characters that the recorder shows as text"


@dataclass(frozen=True, slots=True)
class Line:
    """One whole line.

    Attributes:
        number: from 1, counted by line feeds as editors count.
        text: without escape sequences, control characters and surrounding blanks; `EOT` alone for the end marker.
        at: seconds, as given with the bytes that ended the line; None when unknown.
        others: further readings of the line, each with what was removed. They are tried only if `text` has no meaning,
            because apparent remains of a colour may be the device's own text.
    """

    number: int
    text: str
    at: float | None = None
    others: tuple[tuple[str, Cleaning], ...] = ()


def clean(raw: bytes) -> str:
    """Drop escape sequences and controls, decode (UTF-8, bad bytes replaced), strip blanks. Plain text stays whole."""
    if not raw.isascii() or not raw.isalnum():
        raw = _CONTROL.sub(b"", raw)
    return raw.decode("utf-8", "replace").strip()


def readings(raw: bytes) -> tuple[tuple[str, Cleaning], ...]:
    """Every way to read a line, the most literal first, each with what was removed."""
    text = clean(raw)
    found = [(text, Cleaning.NOTHING)]
    if b"\x1b" in raw:
        found.append((_BARE_CONTROL.sub(b"", raw).decode("utf-8", "replace").strip(), Cleaning.LONE_ESCAPES))
    plain = text
    if "[" in text:
        plain = _ORPHAN_SGR.sub("", text).strip()
        found.append((plain, Cleaning.ORPHAN_COLOURS))
        found.append((_ORPHAN_RESET.sub("", plain).strip(), Cleaning.ORPHAN_COLOURS))
    if any(mark in text for mark in _SHOWN_MARKS):
        shown = _SHOWN_NUL.sub("", _ORPHAN_SGR.sub("", _SHOWN_ESCAPE.sub("", text))).strip()
        found.append((EOT if _SHOWN_EOT.fullmatch(shown) else shown, Cleaning.SHOWN_CONTROLS))
    kept: dict[str, Cleaning] = {}
    for reading, cleaning in found:
        if reading:
            kept.setdefault(reading, cleaning)
    return tuple(kept.items())


class LineSplitter:
    """Splits a stream into lines; feeding one byte at a time gives the same lines as feeding all at once."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._number = 1
        self._last_byte = b""
        self._split = False  # the line before ended inside an escape sequence
        self._style_lf_cr = False  # the line feed before the last was followed by a carriage return
        self._style_cr_lf = False  # the last line feed followed a carriage return

    @property
    def number(self) -> int:
        """The number of the line that is being received."""
        return self._number

    @property
    def tail(self) -> str:
        """The unfinished line received so far, cleaned."""
        return clean(bytes(self._pending))

    @property
    def cut(self) -> bool:
        """Whether the stream stops inside a line: text without an end, or half a line end.

        If lines end with LF CR, a last line with only its LF has been cut; if they end with CR LF, a last line with
        only its CR.
        """
        half = {b"\n": self._style_lf_cr, b"\r": self._style_cr_lf and not self._style_lf_cr}
        return bool(self.tail) or half.get(self._last_byte, False)

    def feed(self, data: bytes, at: float | None = None) -> Iterator[Line]:
        """Take bytes, give the lines that they finish.

        Args:
            data: any number of bytes as received.
            at: the time in seconds, for the lines that these bytes finish.
        """
        position = 0
        for match in _BREAK.finditer(data):
            self._keep(data[position : match.start()])
            if match.start() > position:
                self._saw(data[match.start() - 1 : match.start()])
            position = match.end()
            stop = match.group()
            forms = self._forms() if self._pending else ()
            self._pending.clear()
            number = self._number
            self._saw(stop)
            if stop == b"\n":
                self._number += 1
            if forms:
                yield Line(number, forms[0][0], at, forms[1:])
            if stop == b"\x04":
                yield Line(number, EOT, at)
        self._keep(data[position:])
        if position < len(data):
            self._saw(data[-1:])

    def _forms(self) -> tuple[tuple[str, Cleaning], ...]:
        """The ways to read the pending line, also without the rest of an escape sequence that the line before began."""
        raw = bytes(self._pending)
        rest = _REST.match(raw) if self._split else None
        self._split = _UNFINISHED.search(raw) is not None
        found = dict(readings(raw))
        for text, _ in readings(raw[rest.end() :]) if rest else ():
            found.setdefault(text, Cleaning.SPLIT_ESCAPES)
        return tuple(found.items())

    def _keep(self, piece: bytes) -> None:
        room = MAX_LINE - len(self._pending)
        if room > 0:
            self._pending += piece[:room]

    def _saw(self, byte: bytes) -> None:
        if self._last_byte == b"\n":
            self._style_lf_cr = byte == b"\r"
        elif self._last_byte == b"\r" and byte == b"\n":
            self._style_lf_cr = False
        if byte == b"\n":
            self._style_cr_lf = self._last_byte == b"\r"
        self._last_byte = byte
