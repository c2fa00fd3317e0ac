"""Telnet's in-band commands: removes them from a byte stream, and escapes data to send (RFC 854, RFC 856).

Pure: bytes in, bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["TelnetFilter", "escape"]

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
BINARY, SUPPRESS_GO_AHEAD = 0, 3
_WANTED = (BINARY, SUPPRESS_GO_AHEAD)


def escape(data: bytes) -> bytes:
    """Escape data to send: IAC is doubled."""
    return data.replace(b"\xff", b"\xff\xff")


@dataclass(slots=True)
class TelnetFilter:
    """Separates data from commands, in any chunks.

    `replies` collects what must be sent back: binary transmission and suppress-go-ahead are agreed
    to, everything else is refused, each option answered once (RFC 854: no loops).
    """

    replies: bytearray = field(default_factory=bytearray)
    _pending: bytes = b""
    _answered: set[tuple[int, int]] = field(default_factory=set)

    def feed(self, data: bytes) -> bytes:
        """The data bytes in `data`. Commands are answered or dropped; an unfinished command waits for its rest."""
        stream = self._pending + data
        self._pending = b""
        if IAC not in stream:
            return stream
        out = bytearray()
        position = 0
        while True:
            at = stream.find(b"\xff", position)
            if at < 0:
                out += stream[position:]
                return bytes(out)
            out += stream[position:at]
            length = self._command_length(stream, at)
            if length is None:
                # A subnegotiation that never ends must not fill the memory.
                self._pending = stream[at:] if len(stream) - at < 4096 else b""
                return bytes(out)
            if stream[at + 1] == IAC:
                out.append(IAC)
            elif length == 3:
                self._negotiate(stream[at + 1], stream[at + 2])
            position = at + length

    @staticmethod
    def _command_length(stream: bytes, at: int) -> int | None:
        if len(stream) < at + 2:
            return None
        command = stream[at + 1]
        if command in (DO, DONT, WILL, WONT):
            return 3 if len(stream) >= at + 3 else None
        if command == SB:
            end = at + 2
            while (end := stream.find(b"\xff", end)) >= 0 and end + 1 < len(stream):
                if stream[end + 1] == SE:
                    return end + 2 - at
                end += 2
            return None
        return 2

    def _negotiate(self, command: int, option: int) -> None:
        wanted = option in _WANTED
        answer = {DO: WILL if wanted else WONT, WILL: DO if wanted else DONT, DONT: WONT, WONT: DONT}[command]
        if (answer, option) not in self._answered:
            self._answered.add((answer, option))
            self.replies += bytes((IAC, answer, option))
