"""One conversation with a Zephyr shell: it sends commands, returns their reply lines and keeps everything else.

The shell has no framing. A reply is what comes between the rendered echo of the command and the prompt after it; log
lines, secure lines and redraws in between are recognised by their form and removed. A line that a booting device prints
is a reset, wherever it stands.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import ConfigError, InfrastructureError, ProductError
from tfm_harness.protocol.zephyr_shell.lines import SECURE_INSERT, LineKind, LineSorter, ShellLine
from tfm_harness.protocol.zephyr_shell.terminal import Terminal

__all__ = ["MAX_COMMAND", "QUIET", "Reply", "ShellSession"]

MAX_COMMAND = 63
"""Longest command in bytes: the shell's receive ring holds 64 bytes, and further bytes are lost."""

_COLUMNS = 80  # a longer prompt and command wrap, so that the echo has more than one line
QUIET = 0.1
"""Seconds without a byte after which a prompt counts as the last one."""

_SLICE = 0.25
_LINGERS = 1.0  # seconds for which a prompt must stay if the reply is known to be incomplete
_RESTLESS = 2.0  # seconds after which a command is sent although the line is never quiet
_NOTES = 2000
_MAX_REPLY_LINES = 20_000
_INTERRUPT = b"\x03"  # Ctrl-C: drops a half-typed command, gives a new line and a prompt


@dataclass(frozen=True, slots=True)
class Reply:
    """A command's reply.

    Attributes:
        command: what was sent.
        lines: the reply's own lines.
        raw: all bytes from the echo to the prompt, including log and secure lines.
        seconds: from the first byte sent to the prompt.
    """

    command: str
    lines: tuple[str, ...]
    raw: bytes
    seconds: float


@dataclass(slots=True)
class _Exchange:
    command: str
    most_lines: int
    echoed: bool = False
    lines: list[str] = field(default_factory=list)


class ShellSession:
    """Prompt, echo and replies over one console.

    Args:
        console: where the shell speaks.
        prompt: with its trailing blank.
        watch: called while waiting; raises when the board is known to be dead.
        quiet: seconds, see `QUIET`.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        console: Console,
        *,
        prompt: str = "uart:~$ ",
        watch: Callable[[], None] | None = None,
        quiet: float = QUIET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.console = console
        self.notes: deque[ShellLine] = deque(maxlen=_NOTES)
        self._sorter = LineSorter(prompt)
        self._terminal = Terminal(inserted=SECURE_INSERT)
        self._watch = watch or (lambda: None)
        self._quiet = quiet
        self._clock = clock
        self._mark = console.mark()
        self._synced = False
        self._raw = bytearray()
        self._exchange: _Exchange | None = None
        self._booted: str | None = None
        self._boots = 0

    def take_notes(self) -> list[ShellLine]:
        """Log, secure and boot lines since the last call, classified, oldest first. Each is returned only once."""
        taken = list(self.notes)
        self.notes.clear()
        return taken

    def restart(self, line: str, timeout: float) -> None:
        """Send a command that resets the device, and wait for the shell after the boot.

        Raises:
            ProductError: ``no-reset``: the device did not reset; else as `synchronise`.
        """
        if not self._synced:
            self.synchronise(timeout)
        self._synced = False
        boots = self._boots
        self.console.write(line.encode("ascii") + b"\r")
        self.synchronise(timeout)
        if self._boots == boots:
            raise ProductError(
                f"{line!r} did not reset the device",
                kind="no-reset",
                expected="boot lines",
                where=f"console {self.console.name!r}, last lines:\n{self.console.tail()}",
            )

    def synchronise(self, timeout: float) -> None:
        """Wait for a prompt that stays, also during a boot.

        Raises:
            InfrastructureError: ``silent``: not one byte came; ``console-closed``.
            ProductError: ``boot-hung``: it printed, but no prompt came or no shell answered.
        """
        deadline = self._clock() + timeout
        self._exchange = None
        while True:
            self._settle(min(deadline, self._clock() + _RESTLESS))
            self._booted = None
            self.console.write(_INTERRUPT)
            self._pump(min(1.0, max(deadline - self._clock(), 0.05)))
            self._settle(min(deadline, self._clock() + _RESTLESS))
            if self._sorter.is_prompt(self._terminal.current) and self._booted is None:
                self._synced = True
                return
            if self._clock() >= deadline:
                raise self._not_ready(timeout)

    def command(
        self,
        line: str,
        *,
        timeout: float,
        complete: Callable[[Sequence[str]], bool] | None = None,
        most_lines: int = _MAX_REPLY_LINES,
    ) -> Reply:
        """Send one command and wait for its whole reply.

        Args:
            line: printable ASCII, at most `MAX_COMMAND` bytes.
            timeout: seconds until the prompt after the reply.
            complete: whether these reply lines are the complete reply; if so, a prompt ends the reply at once. While
                lines are missing, only a prompt that stays much longer ends it (a late log line draws a prompt, too).
                Without `complete`, a prompt that stays for the quiet time ends the reply.
            most_lines: most lines of a reply. It is a limit of the harness, not of the shell.

        Raises:
            ConfigError: the line cannot be sent.
            InfrastructureError: ``echo-missing``, ``echo-damaged``, ``console-closed``; ``reply-too-long``: more than
                `most_lines`.
            ProductError: ``device-reset``, ``reply-unfinished``.
        """
        self._check(line)
        if not self._synced:
            self.synchronise(timeout)
        self._pump(0.0)
        self._raise_if_booted(f"before {line!r}")
        exchange = self._exchange = _Exchange(line, most_lines)
        self._raw.clear()
        began = self._clock()
        deadline = began + timeout
        self._synced = False  # until the reply is complete
        self.console.write(line.encode("ascii") + b"\r")
        try:
            self._await_reply(exchange, deadline, complete)
        finally:
            self._exchange = None
        self._synced = True
        return Reply(line, tuple(exchange.lines), bytes(self._raw), self._clock() - began)

    # ---- inside

    def _await_reply(
        self, exchange: _Exchange, deadline: float, complete: Callable[[Sequence[str]], bool] | None
    ) -> None:
        while True:
            prompt = exchange.echoed and self._sorter.is_prompt(self._terminal.current)
            if prompt and complete is not None and complete(exchange.lines):
                return
            left = deadline - self._clock()
            stays = self._quiet if complete is None else max(self._quiet, _LINGERS)
            news = self._pump(min(stays if prompt else _SLICE, max(left, 0.0)))
            self._raise_if_booted(f"while {exchange.command!r} ran")
            if prompt and not news:
                return
            if left <= 0:
                raise self._unfinished(exchange)

    def _pump(self, timeout: float) -> bool:
        """Process received bytes; wait up to `timeout` seconds for the first. Returns whether any came."""
        if not self.console.wait_data(self._mark, timeout=timeout):
            self._watch()
            return False
        data = self.console.read_from(self._mark)
        self._mark = Mark(self._mark.offset + len(data))
        if len(self._raw) < 1 << 20:
            self._raw += data
        for rendered in self._terminal.feed(data):
            sent = self._exchange.command if self._exchange else None
            self._take(self._sorter.sort(rendered, sent))
        return bool(data)

    def _take(self, line: ShellLine) -> None:
        if line.kind is LineKind.BOOT:
            self._booted = self._booted or line.text
            self._boots += 1
        if line.kind in {LineKind.BOOT, LineKind.LOG, LineKind.SECURE}:
            self.notes.append(line)
            return
        exchange = self._exchange
        if exchange is None or line.kind is LineKind.BLANK_PROMPT:
            return
        if line.kind is LineKind.ECHO and not exchange.echoed:
            exchange.echoed = True
        elif exchange.echoed:
            if len(exchange.lines) >= exchange.most_lines:
                raise InfrastructureError(
                    f"the reply to {exchange.command!r} has more lines than the harness's limit",
                    kind="reply-too-long",
                    expected=f"a prompt within {exchange.most_lines} lines",
                    seen=line.text,
                    where=f"console {self.console.name!r}, last lines:\n{self.console.tail()}",
                    hint="the limit is the harness's own and says nothing about the firmware; ask for less at once, or"
                    " look in the console's transcript for an output without end",
                )
            exchange.lines.append(line.text)
        elif line.kind is LineKind.STRAY_ECHO:
            raise InfrastructureError(
                "the shell's echo is not what was sent",
                kind="echo-damaged",
                expected=exchange.command,
                seen=line.text,
                where=f"console {self.console.name!r}",
                hint="bytes were lost or changed on the UART, or somebody else types on it",
            )

    def _settle(self, deadline: float) -> None:
        """Read until no byte has come for the quiet time."""
        while self._clock() < deadline and self._pump(self._quiet):
            pass

    def _check(self, line: str) -> None:
        if not line or not line.isascii() or not line.isprintable() or line != line.strip():
            raise ConfigError(
                "a shell command is printable ASCII, without blanks around it", kind="bad-command", seen=repr(line)
            )
        room = min(MAX_COMMAND, _COLUMNS - 1 - len(self._sorter.prompt))
        if len(line) > room:
            raise ConfigError(
                "the shell command is too long",
                kind="command-too-long",
                expected=f"at most {room} bytes: the receive ring holds 64, the echo wraps at column {_COLUMNS}",
                seen=f"{len(line)} bytes: {line}",
            )

    def _raise_if_booted(self, when: str) -> None:
        if self._booted is None:
            return
        seen, self._booted, self._synced = self._booted, None, False
        raise ProductError(
            f"the device started again {when}",
            kind="device-reset",
            expected="the shell's reply",
            seen=seen,
            where=f"console {self.console.name!r}, last lines:\n{self.console.tail()}",
            hint="a secure fault resets this firmware without a message; the lines before the boot show how far it got",
        )

    def _unfinished(self, exchange: _Exchange) -> InfrastructureError | ProductError:
        where = f"console {self.console.name!r}, last lines:\n{self.console.tail()}"
        if not exchange.echoed:
            return InfrastructureError(
                "the shell did not echo the command",
                kind="echo-missing",
                expected=exchange.command,
                seen="\n".join(exchange.lines) or f"{len(self._raw)} bytes, no echo",
                where=where,
                hint="check that the device is in its shell, and that the console's sending side is connected",
            )
        return ProductError(
            f"no prompt came after the reply to {exchange.command!r}",
            kind="reply-unfinished",
            expected="a prompt",
            seen="\n".join(exchange.lines[-5:]) or "the echo and nothing else",
            where=where,
        )

    def _not_ready(self, timeout: float) -> InfrastructureError | ProductError:
        where = f"console {self.console.name!r}, last lines:\n{self.console.tail()}"
        if not self.console.received:
            return InfrastructureError(
                f"not one byte came within {timeout:g} s",
                kind="silent",
                expected="a boot and a shell prompt",
                where=where,
                hint="check that this is its console, that the device is powered, and that the image is right",
            )
        return ProductError(
            f"the device spoke, but no shell prompt answered within {timeout:g} s",
            kind="boot-hung",
            expected=f"the prompt {self._sorter.prompt!r} after Ctrl-C",
            seen=self._terminal.current or "no prompt",
            where=where,
        )
