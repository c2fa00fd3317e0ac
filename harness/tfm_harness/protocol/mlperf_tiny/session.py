"""Sends commands and reads up to the ready message, over one console."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.mlperf_tiny.answers import ERROR_MARK, MARK, READY, of_the_line

__all__ = ["MAX_COMMAND", "MonitorSession", "Reply"]

MAX_COMMAND: Final = 80
"""Most characters of a command without its end: the firmware drops further ones (EE_CMD_SIZE)."""

_BOOTED = "m-init-done"
_MODE = "m-timestamp-mode-"
_SLICE = 0.25  # seconds between two checks that the board is still alive
_MOST_LINE = 1 << 17  # bytes: the results of a model with 4,096 outputs; the autoencoder's 640 take 5 KB
_MOST_AT_ONCE = 1 << 16
_MOST_BYTES = 4 << 20
_NOTES = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the protocol's lines before the ready message, in order.

    Attributes:
        lines: without line ends, and without lines of other programs.
        raw: all bytes that came.
        seconds: from the command's first byte to the ready message.
    """

    command: str
    lines: tuple[str, ...]
    raw: bytes
    seconds: float


class MonitorSession:
    """Sends one command at a time and reads to its ready message.

    The protocol numbers neither commands nor answers. After a failed exchange, and at the start, the session
    therefore asks for a command that does not exist, with a random name: the firmware repeats the name in its error
    line, so that no late answer can be taken for a new one.

    Args:
        console: where the firmware speaks.
        watch: called while waiting; raises when the board is known to be dead.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        watch: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.notes: deque[str] = deque(maxlen=_NOTES)
        """Lines of other programs, and those that belong to no answer; the last ones."""
        self.mode: str | None = None
        """What the firmware said of its timestamps at its start: performance, energy."""
        self._watch = watch or (lambda: None)
        self._clock = clock
        self._mark = console.mark()
        self._rest = b""  # of a line
        self._lines: deque[bytes] = deque()
        self._raw = bytearray()
        self._synced = False
        self._booted = False

    def restart(self) -> None:
        """Note a reset of the device: bytes from before it belong to no later answer."""
        self._mark = self.console.mark()
        self._forget()
        self._synced, self._booted, self.mode = False, False, None

    def synchronise(self, timeout: float, *, each: float) -> None:
        """Make sure that the firmware answers, and that no older answer is under way.

        Args:
            timeout: seconds in all.
            each: seconds for one try.

        Raises:
            InfrastructureError: ``silent``: not one byte since the console was opened; ``console-closed``.
            ProductError: ``boot-hung``: it printed, but never answered.
        """
        deadline = self._clock() + timeout
        while True:
            word = f"sync-{secrets.token_hex(4)}"
            self._forget()
            self.console.write(f"{word}%".encode())
            until = min(self._clock() + each, deadline)
            said = f"{ERROR_MARK}Unknown command: {word}]"
            if self._reads(said, until) and self._reads(READY, until):
                self._synced, self._booted = True, False
                return
            if self._clock() >= deadline:
                raise self._not_ready(timeout)

    def command(self, text: str, *, timeout: float, each: float) -> Reply:
        """Send a command. Returns its answer.

        Args:
            text: printable ASCII without the terminator, at most `MAX_COMMAND` characters.
            timeout: seconds until its ready message.
            each: seconds for one try to synchronise, if that is needed first.

        Raises:
            ConfigError: ``bad-command``.
            InfrastructureError: ``answer-lost``: no ready message in time; ``answer-flood``; as `synchronise`.
            ProductError: ``answer-lost`` on a console that loses nothing; ``device-reset``: the firmware started anew;
                as `synchronise`.
        """
        if not text.isascii() or not text.isprintable() or "%" in text or not 0 < len(text) <= MAX_COMMAND:
            raise ConfigError(
                "a command of MLPerf Tiny's protocol is printable ASCII without %",
                kind="bad-command", expected=f"1 to {MAX_COMMAND} characters", seen=repr(text),
            )  # fmt: skip
        self._skip_news()
        if self._booted:
            raise self._reset(f"before {text!r}")
        if not self._synced:
            self.synchronise(timeout, each=each)
        self._synced, self._raw = False, bytearray()  # until the answer is complete
        began = self._clock()
        deadline = began + timeout
        self.console.write(text.encode("ascii") + b"%")
        lines: list[str] = []
        while (line := self._line(deadline)) is not None:
            if line == READY:
                self._synced = True
                return Reply(text, tuple(lines), bytes(self._raw), self._clock() - began)
            if self._booted:
                raise self._reset(f"while {text!r} ran")
            lines.append(line)
            if len(self._raw) > _MOST_BYTES:
                raise self._flood(text)
        raise of_the_line(
            f"no ready message came behind the answer to {text!r}",
            kind="answer-lost",
            lossless=self.console.lossless,
            expected=f"{READY} within {timeout:g} s",
            seen=", ".join(lines[-5:]) or f"{len(self._raw)} bytes, no line of the protocol",
            where=self.where,
            hint="check whether the firmware works for longer, hangs, or lost a byte on the UART",
        )

    @property
    def where(self) -> str:
        """The console and its last lines, for errors."""
        return f"console {self.console.name!r}, last lines:\n{self.console.tail(8)}"

    # ---- inside

    def _reads(self, wanted: str, until: float) -> bool:
        """Read up to this line; False if it does not come."""
        while (line := self._line(until)) is not None:
            if line == wanted:
                return True
        return False

    def _skip_news(self) -> None:
        """Drop bytes since the last answer: they answer no request. Later bytes are left for the next call."""
        end = self.console.mark().offset
        while self._mark.offset < end and self._read(end - self._mark.offset):
            while self._waiting() is not None:
                pass
        self._forget()

    def _forget(self) -> None:
        self._rest = b""
        self._lines.clear()

    def _line(self, until: float) -> str | None:
        """The next line of the protocol; None if none came. Other lines become notes."""
        while (line := self._waiting()) is None:
            left = until - self._clock()
            if not self.console.wait_data(self._mark, timeout=min(max(left, 0.0), _SLICE)):
                self._watch()
            else:
                self._read(_MOST_AT_ONCE)
            if left <= 0:
                return None
        return line

    def _waiting(self) -> str | None:
        """The next line of the protocol in the bytes already read; None if there is none. Other lines become notes."""
        while self._lines:
            line = self._lines.popleft().strip(b"\r\0 ").decode("ascii", "backslashreplace")
            if line.startswith(_MODE):
                self.mode = line.removeprefix(_MODE)
            self._booted |= line == _BOOTED or line.startswith(_MODE)
            if line.startswith((MARK, ERROR_MARK, "Input db has ", "Supplied buffer size ")):
                return line
            if line:
                self.notes.append(line)
        return None

    def _read(self, most: int) -> int:
        data = self.console.read_from(self._mark, limit=min(most, _MOST_AT_ONCE))
        self._mark = Mark(self._mark.offset + len(data))
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines.extend(lines)
        if len(self._rest) > _MOST_LINE:
            self._rest = b""  # longer than any line of this protocol
        self._raw += data[: max(0, _MOST_BYTES + 1 - len(self._raw))]
        return len(data)

    def _not_ready(self, timeout: float) -> HarnessError:
        if not self.console.received:
            return InfrastructureError(
                f"not one byte came within {timeout:g} s",
                kind="silent",
                expected=f"{_BOOTED} and {READY}",
                where=f"console {self.console.name!r}",
                hint="check that this is its console, at 115200 baud, and that the device is powered and flashed",
            )
        return ProductError(
            f"the device spoke, but did not answer within {timeout:g} s",
            kind="boot-hung",
            expected=f"{ERROR_MARK}Unknown command: ...] and {READY}: MLPerf Tiny's answer to an unknown word",
            seen=self.console.tail(3) or "bytes without a line",
            where=self.where,
            hint="unreadable text means another speed (115200 baud in performance mode, 9600 in energy mode)",
        )

    def _reset(self, when: str) -> ProductError:
        self._booted, self._synced = False, False
        return ProductError(
            f"the device started again {when}",
            kind="device-reset",
            expected=READY,
            seen=_BOOTED,
            where=self.where,
        )

    def _flood(self, text: str) -> InfrastructureError:
        return InfrastructureError(
            f"the answer to {text!r} does not end",
            kind="answer-flood",
            expected=f"{READY} within {_MOST_BYTES >> 20} MiB",
            seen=f"{len(self._raw)} bytes",
            where=self.where,
        )
