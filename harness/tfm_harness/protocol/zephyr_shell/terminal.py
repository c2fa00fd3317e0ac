"""A terminal with one line: it renders a shell's output with its cursor movements.

A shell redraws the line that is being typed and erases it to make room for log lines, so its raw
bytes are not its text. This renders them, line by line, without a fixed width and without holding
more than the line in progress. It is not built on a full-screen emulator because the bytes are
untrusted evidence: an escape sequence that never ends or a parameter of a million digits must cost nothing. It also
keeps whether a line ended in CR LF or in a bare LF (the secure side's lines end in a bare LF). The tests compare it
with pyte on real traffic.

Source: ECMA-48 (CSI s.5.4, CUB 8.3.18, CUF 8.3.20, ED 8.3.39, EL 8.3.41, SGR 8.3.117).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["MAX_COLUMNS", "Rendered", "Terminal"]

MAX_COLUMNS = 4096
"""Longest rendered line; characters beyond it are dropped."""

_TOKEN = re.compile(
    rb"(?P<text>[^\x00-\x1f\x7f]+)"
    rb"|\x1b\[(?P<params>[0-?]{0,32})[ -/]{0,4}(?P<final>[@-~])"
    rb"|(?P<other>\x1b[^\[\x00-\x1f])"  # two-byte escapes: none of them moves anything here
    rb"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    rb"|(?P<bad>\x1b)"  # an escape that cannot become a sequence
)
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]{0,32}[ -/]{0,4})?\Z")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished line: its text without trailing blanks, and whether a CR stood before its LF."""

    text: str
    crlf: bool


class Terminal:
    """Takes bytes in any chunks, gives the finished lines and keeps the current line.

    Args:
        inserted: pattern of text that the other world may insert in the middle of a line, ending in
            a bare LF. Such text becomes a line of its own, and the interrupted line continues.
    """

    def __init__(self, *, inserted: re.Pattern[str] | None = None) -> None:
        self._inserted = inserted
        self._pending = b""
        self._cells: list[str] = []
        self._column = 0
        self._after_cr = False
        self._returned: list[str] = []  # the line as it stood when its CR came

    @property
    def current(self) -> str:
        """The unfinished line as it looks now, with the blanks at its end."""
        return "".join(self._cells)

    def feed(self, data: bytes) -> Iterator[Rendered]:
        """Take bytes, give the lines that they finish. Never raises."""
        data = self._pending + data
        unfinished = _UNFINISHED.search(data)
        self._pending = unfinished.group() if unfinished else b""
        end = unfinished.start() if unfinished else len(data)
        for match in _TOKEN.finditer(data, 0, end):
            if match["text"] is not None:
                self._draw(match["text"].decode("latin-1"))
                self._after_cr = False
            elif match["final"] is not None:
                self._control_sequence(match["final"], match["params"])
            elif match["control"] is not None:
                line = self._control(match["control"])
                if line is not None:
                    yield line

    def forget(self) -> None:
        """Drop the line in progress, for instance after a transmission was given up."""
        self._pending, self._cells, self._column, self._after_cr, self._returned = b"", [], 0, False, []

    def _draw(self, text: str) -> None:
        room = MAX_COLUMNS - self._column
        text = text[: max(room, 0)]
        if self._column > len(self._cells):
            self._cells.extend(" " * (self._column - len(self._cells)))
        self._cells[self._column : self._column + len(text)] = text
        self._column += len(text)

    def _control(self, byte: bytes) -> Rendered | None:
        if byte == b"\n":
            return self._line_feed()
        if byte == b"\r":
            if not self._after_cr:
                self._returned = self._cells[:]
            self._column, self._after_cr = 0, True
        elif byte == b"\b":
            self._column = max(0, self._column - 1)
        elif byte == b"\t":
            self._column = min(MAX_COLUMNS, self._column + 8 - self._column % 8)
        return None

    def _line_feed(self) -> Rendered | None:
        text, crlf, column = self.current, self._after_cr, self._column
        returned, self._returned = self._returned, []
        self._cells, self._column, self._after_cr = [], 0, False
        if not crlf and self._inserted is not None:
            found = deque(self._inserted.finditer(text), maxlen=1).pop() if self._inserted.search(text) else None
            if found is not None and found.start() == 0 and returned:
                # The text came between a line's CR and LF and was drawn over that line: restore the line.
                self._cells, self._returned, self._after_cr = returned, returned[:], True
                return Rendered(text[:column].rstrip(), crlf=False)
            if found is not None and found.start() > 0:
                self._draw(text[: found.start()])
                return Rendered(text[found.start() :].rstrip(), crlf=False)
        return Rendered(text.rstrip(), crlf=crlf)

    def _control_sequence(self, final: bytes, params: bytes) -> None:
        first = params.split(b";", 1)[0]
        number = min(int(first), MAX_COLUMNS) if first.isdigit() else 0
        if final == b"D":
            self._column = max(0, self._column - max(number, 1))
        elif final == b"C":
            self._column = min(MAX_COLUMNS, self._column + max(number, 1))
        elif final == b"H":
            self._column = 0
        elif final in {b"J", b"K"}:
            self._erase(number)

    def _erase(self, what: int) -> None:
        if what == 0:
            del self._cells[self._column :]
        elif what == 1:
            self._cells[: self._column + 1] = " " * min(self._column + 1, len(self._cells))
        else:
            self._cells.clear()
