"""Recorded sessions with a Zephyr shell: the typed commands and their reply lines, boot by boot. Pure.

Two forms are read: the harness's own transcript (``NAME.log`` and ``NAME.log.events``), and text lines of seconds,
``RX`` or ``TX``, and the bytes with Python's escapes. Both are read with the live client's terminal and line sorter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tfm_harness.errors import ConfigError
from tfm_harness.protocol.zephyr_shell.lines import SECURE_INSERT, LineKind, LineSorter
from tfm_harness.protocol.zephyr_shell.terminal import Terminal

__all__ = ["RecordedReply", "read_session", "read_transcript", "replies"]

_LINE = re.compile(r"\s*\d+(?:\.\d+)? (?P<way>RX|TX) (?P<text>.*)")
_INTERRUPT = 0x03
_MAX_REPLIES = 20_000
_HOST_RESETS = ("host-reset", "power-")

Piece = tuple[bool, bytes]
"""Whether the bytes were sent to the device, and the bytes. Zero bytes sent means that the host resets the device."""


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """The reply to one command.

    Attributes:
        command: as it was typed.
        lines: the reply's own lines; log, secure and boot lines are left out.
        boot: the number of the device's start in which it came, from 0.
        interrupted: the device restarted before the end of the reply.
        echoed: the command's echo came; without it no line can be assigned to the reply.
    """

    command: str
    lines: tuple[str, ...]
    boot: int
    interrupted: bool = False
    echoed: bool = True


def read_session(data: bytes) -> list[Piece]:
    """The pieces of a recording in text lines.

    Raises:
        ConfigError: ``recording-unreadable``: a line has another form.
    """
    found: list[Piece] = []
    for number, line in enumerate(data.decode("latin-1").splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise _unreadable(number, line)
        try:
            content = match["text"].encode("latin-1").decode("unicode_escape").encode("latin-1")
        except (UnicodeDecodeError, UnicodeEncodeError):
            raise _unreadable(number, line) from None
        found.append((match["way"] == "TX", content))
    return found


def read_transcript(log: bytes, events: bytes) -> list[Piece]:
    """The pieces of the harness's own transcript.

    Raises:
        ConfigError: ``recording-unreadable``: an event has another form.
    """
    found: list[Piece] = []
    begin = 0
    for number, line in enumerate(events.decode("utf-8", "replace").splitlines(), 1):
        try:
            entry = json.loads(line)
            at, sent = entry["at"], bytes.fromhex(entry.get("sent", ""))
            resets = str(entry.get("event", "")).startswith(_HOST_RESETS)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _unreadable(number, line) from None
        if not isinstance(at, int) or isinstance(at, bool):
            raise _unreadable(number, line)
        if sent or resets:
            found += [(False, log[begin:at]), (True, sent)]
            begin = max(begin, at)
    return [*found, (False, log[begin:])]


def _unreadable(number: int, line: str) -> ConfigError:
    return ConfigError(
        "the recording cannot be read", kind="recording-unreadable", where=f"line {number}", seen=line[:120],
        expected="seconds, RX or TX, and the bytes with Python's escapes; or a transcript NAME.log of the harness with"
        " its NAME.log.events",
    )  # fmt: skip


def replies(pieces: list[Piece], *, prompt: str = "uart:~$ ") -> Iterator[RecordedReply]:
    """The reply to each command, in order; a lost reply gives an entry, too.

    Raises:
        ConfigError: ``recording-unreadable``: more commands than the limit for one recording.
    """
    terminal, sorter = Terminal(inserted=SECURE_INSERT), LineSorter(prompt)
    typed, command, echoed = bytearray(), "", False
    lines: list[str] = []
    boot, spoke, booting, count = 0, False, False, 0

    def finished(*, interrupted: bool = False) -> Iterator[RecordedReply]:
        if command:
            yield RecordedReply(command, tuple(lines), boot, interrupted, echoed)

    for sent, data in pieces:
        if sent and not data:
            yield from finished()
            command = ""
        if sent:
            for byte in data:
                if byte == _INTERRUPT:
                    typed.clear()
                elif byte in b"\r\n":
                    yield from finished()
                    command, lines, echoed, booting = typed.decode("latin-1").strip(), [], False, False
                    typed.clear()
                    count += 1
                    if count > _MAX_REPLIES:
                        raise ConfigError(
                            f"the recording has more than {_MAX_REPLIES} commands", kind="recording-unreadable",
                            hint="cut it where the device starts, and judge the parts",
                        )  # fmt: skip
                else:
                    typed.append(byte)
            continue
        for rendered in terminal.feed(data):
            line = sorter.sort(rendered, command or None)
            if line.kind is LineKind.BOOT and not booting:
                yield from finished(interrupted=True)
                boot, command, booting = boot + spoke, "", True
            elif line.kind is LineKind.ECHO and not echoed:
                echoed = True
            elif line.kind is LineKind.REPLY and echoed:
                lines.append(line.text)
            spoke = True
    yield from finished()
