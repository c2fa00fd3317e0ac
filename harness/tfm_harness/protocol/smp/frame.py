"""MCUmgr's console framing of SMP packets: bytes on a UART to packets and log lines, and back.

Source of the rules: Zephyr, "SMP over console" (MCUmgr SMP transport): a packet is prefixed
with its length plus 2 (16 bit, big endian), followed by a CRC-16/XMODEM of the packet, base64
encoded and cut into lines of at most 127 bytes; the first line starts with 06 09, the next ones
with 04 14, each ends in LF.

The decoder is strict because everything it reads is untrusted: lengths are checked before anything is kept, base64 must
be canonical, and bytes outside of frames are kept as log lines. (PyPI's `smp` is the oracle in the tests; its decoder
takes one line at a time, accepts characters that are not base64 and packets longer than announced, and importing it
costs 150 ms.)

Pure: bytes in, items out.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = [
    "CONTINUE",
    "MAX_LINE",
    "MAX_PACKET",
    "START",
    "BadFrame",
    "FrameDecoder",
    "LogLine",
    "Packet",
    "encode_frame",
]

MAX_LINE = 127
"""Longest frame line in bytes, its two markers and LF included (MCUmgr console transport)."""
MAX_PACKET = 4096
"""Largest SMP packet either way, header included (docs/protocol.md)."""
MAX_LOG_LINE = 4096
"""A longer text line is returned in pieces."""

START = b"\x06\x09"
CONTINUE = b"\x04\x14"
_CHUNK = (MAX_LINE - 3) // 4 * 4  # whole base64 groups in a line


@dataclass(frozen=True, slots=True)
class Packet:
    """A complete SMP packet with the right length and CRC. Offsets are those of the byte stream."""

    data: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """A text line between frames, without its line end."""

    data: bytes
    start: int


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Bytes that began like a frame but were not one.

    `kind`: ``crc``, ``base64``, ``length``, ``oversized``, ``unfinished`` or ``orphan``.
    """

    kind: str
    detail: str
    start: int
    end: int


Item = Packet | LogLine | BadFrame


def encode_frame(packet: bytes) -> bytes:
    """The lines that carry `packet`.

    Raises:
        ValueError: empty, or larger than `MAX_PACKET`.
    """
    if not 0 < len(packet) <= MAX_PACKET:
        raise ValueError(f"an SMP packet has 1 to {MAX_PACKET} bytes, not {len(packet)}")
    body = (len(packet) + 2).to_bytes(2, "big") + packet + binascii.crc_hqx(packet, 0).to_bytes(2, "big")
    text = binascii.b2a_base64(body, newline=False)
    lines = [START + text[:_CHUNK]]
    lines += [CONTINUE + text[at : at + _CHUNK] for at in range(_CHUNK, len(text), _CHUNK)]
    return b"\n".join(lines) + b"\n"


class FrameDecoder:
    """Cuts a UART's byte stream into packets, log lines and bad frames.

    Any chunking gives the same items. Memory is bounded by the longest line and packet.
    """

    def __init__(self, *, offset: int = 0, max_packet: int = MAX_PACKET) -> None:
        self._line = bytearray()
        self._offset = offset  # of the byte after `_line`
        self._max = max_packet
        self._body: bytearray | None = None  # of the frame that is being assembled
        self._start = 0
        self._expect = 0

    @property
    def offset(self) -> int:
        """The stream's offset up to which it was read."""
        return self._offset

    @property
    def pending(self) -> bytes:
        """The bytes of an unfinished line."""
        return bytes(self._line)

    @property
    def mid_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._body is not None or START in self._line

    def feed(self, data: bytes) -> Iterator[Item]:
        """Take the next bytes of the stream and give what they complete."""
        at = 0
        while at < len(data):
            end = data.find(b"\n", at)
            stop = len(data) if end < 0 else end + 1
            # Never keep more than one longest line, however much the peer sends.
            stop = min(stop, at + MAX_LOG_LINE + 2 - len(self._line))
            line = data[at:stop]
            self._offset += stop - at
            at = stop
            if self._line or stop != end + 1:  # a part of a line
                self._line += line
                if not self._line.endswith(b"\n") and len(self._line) <= MAX_LOG_LINE:
                    continue
                line = bytes(self._line)
                self._line.clear()
            if START in line or line.startswith(CONTINUE):
                yield from self._take(line, self._offset - len(line))
            else:
                yield LogLine(line.rstrip(b"\r\n"), self._offset - len(line))

    def _take(self, line: bytes, start: int) -> Iterator[Item]:
        """Process a line that contains a frame marker."""
        marker = line[:2]
        if marker == START:
            yield from self._begin(line, start)
        elif marker == CONTINUE:
            yield from self._continue(line, start)
        else:
            # Before the frame stands text that a reset or a crash cut off.
            cut = line.index(START)
            yield LogLine(line[:cut].rstrip(b"\r\n"), start)
            yield from self._begin(line[cut:], start + cut)

    def _begin(self, line: bytes, start: int) -> Iterator[Item]:
        if self._body is not None:
            yield self._bad("unfinished", f"{len(self._body)} of {self._expect + 2} bytes came", start)
        body = self._base64(line)
        if isinstance(body, str):
            yield BadFrame("base64", body, start, start + len(line))
            return
        if len(body) < 2:
            yield BadFrame("length", "the first line is too short to hold a length", start, start + len(line))
            return
        length = int.from_bytes(body[:2], "big")
        if length > self._max + 2:
            yield BadFrame(
                "oversized", f"{length - 2} bytes announced, at most {self._max} allowed", start, start + len(line)
            )
            return
        self._body, self._start, self._expect = bytearray(body), start, length
        yield from self._finish(start + len(line))

    def _continue(self, line: bytes, start: int) -> Iterator[Item]:
        if self._body is None:
            yield BadFrame("orphan", "a continuation without a first line", start, start + len(line))
            return
        body = self._base64(line)
        if isinstance(body, str):
            yield self._bad("base64", body, start + len(line))
            return
        self._body += body
        yield from self._finish(start + len(line))

    def _finish(self, end: int) -> Iterator[Item]:
        body = self._body
        if body is None or len(body) < self._expect + 2:
            return
        if len(body) > self._expect + 2:
            yield self._bad("length", f"{len(body) - 2} bytes came, {self._expect} announced", end)
            return
        if self._expect < 3:
            yield self._bad("length", f"{self._expect} bytes announced, too few for a packet and its CRC", end)
            return
        packet, crc = bytes(body[2:-2]), int.from_bytes(body[-2:], "big")
        computed = binascii.crc_hqx(packet, 0)
        if crc != computed:
            yield self._bad("crc", f"CRC {crc:#06x} in the frame, {computed:#06x} computed", end)
            return
        self._body = None
        yield Packet(packet, self._start, end)

    def _bad(self, kind: str, detail: str, end: int) -> BadFrame:
        bad = BadFrame(kind, detail, self._start, end)
        self._body = None
        return bad

    @staticmethod
    def _base64(line: bytes) -> bytes | str:
        """The decoded content of a frame line, or text that says what is wrong with it."""
        if len(line) > MAX_LINE + 1:  # a CR before the LF is tolerated
            return f"a frame line of {len(line)} bytes, at most {MAX_LINE} allowed"
        try:
            return binascii.a2b_base64(line[2:].rstrip(b"\r\n"), strict_mode=True)
        except binascii.Error as error:
            return str(error)
