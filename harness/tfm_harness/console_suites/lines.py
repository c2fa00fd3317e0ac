"""From UART bytes to clean, numbered, whole lines, whatever the chunking.

Real consoles end lines with CR LF (TF-M), LF CR (psa-arch-tests) or a bare LF, redraw progress
lines with a bare CR, colour with SGR sequences and leave NUL bytes in TF-M's log lines. Matching
pieces of lines is the classic cause of flaky console tests, so nothing but whole lines comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["EOT", "MAX_LINE", "Line", "LineSplitter", "clean"]

EOT = "\x04"
"""End of transmission: TF-M's test application sends it when its last test is done."""

MAX_LINE = 16_384
"""Bytes kept of one line; what is longer is cut, so that a stream without line ends cannot fill memory."""

_BREAK = re.compile(rb"[\r\n\x04]")
_CONTROL = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI sequences (ECMA-48 s.5.4): colours, cursor movement
    rb"|\x1b[@-Z\\-_]"  # other two-byte escapes
    rb"|[\x00-\x08\x0b-\x1f\x7f]"  # NUL and other controls, TAB excepted
)
# Colours whose escape character got lost on the way (terminal programs, copies from a browser).
_ORPHAN_SGR = re.compile(rb"(?:\^\[)?\[(?:\d{1,3}(?:;\d{1,3})*)?m")


@dataclass(frozen=True, slots=True)
class Line:
    """One whole line.

    Attributes:
        number: 1-based, counted by line feeds as editors count.
        text: without colours, controls and surrounding blanks; `EOT` alone for the end marker.
        at: seconds, as given with the bytes that ended the line; None when unknown.
    """

    number: int
    text: str
    at: float | None = None


def clean(raw: bytes) -> str:
    """Drop colours and controls, decode (UTF-8, bad bytes replaced), strip blanks."""
    if b"\x1b" in raw or b"\x00" in raw or b"[" in raw:
        raw = _ORPHAN_SGR.sub(b"", _CONTROL.sub(b"", raw))
    elif not raw.isascii() or not raw.isalnum():
        raw = _CONTROL.sub(b"", raw)
    return raw.decode("utf-8", "replace").strip()


class LineSplitter:
    """Incremental: feeding one byte at a time gives the same lines as feeding all at once."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._number = 1
        self._last_byte = b""
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

        Where lines end with LF CR, a last line that has only its LF has been cut; where they end with
        CR LF, one that has only its CR.
        """
        half = {b"\n": self._style_lf_cr, b"\r": self._style_cr_lf and not self._style_lf_cr}
        return bool(self.tail) or half.get(self._last_byte, False)

    def feed(self, data: bytes, at: float | None = None) -> Iterator[Line]:
        """Take bytes, give the lines they finish.

        Args:
            data: any number of bytes as received.
            at: seconds, stamped on the lines these bytes finish.
        """
        position = 0
        for match in _BREAK.finditer(data):
            self._keep(data[position : match.start()])
            if match.start() > position:
                self._saw(data[match.start() - 1 : match.start()])
            position = match.end()
            stop = match.group()
            text = clean(bytes(self._pending))
            self._pending.clear()
            number = self._number
            self._saw(stop)
            if stop == b"\n":
                self._number += 1
            if text:
                yield Line(number, text, at)
            if stop == b"\x04":
                yield Line(number, EOT, at)
        self._keep(data[position:])
        if position < len(data):
            self._saw(data[-1:])

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
