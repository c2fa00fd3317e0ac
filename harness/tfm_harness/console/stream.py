"""The console over any transport."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

from tfm_harness.console.base import Console, Mark, Match
from tfm_harness.console.pump import CHUNK, Pump
from tfm_harness.console.text import last_lines
from tfm_harness.console.transcript import Transcript
from tfm_harness.console.transport import Transport, write_fileno
from tfm_harness.console.window import OVERLAP, Search, Window
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError, ProductError

__all__ = ["StreamConsole"]


class StreamConsole(Console):
    """A console over a `Transport`.

    Args:
        name: the console's name, for errors.
        transport: owned from now on.
        transcript: where every byte received is kept.
        window: bytes kept in memory; older ones are read from the transcript.
        limit: most bytes that a run may print; more means that the firmware prints without end.
        diagnose: returns the reason when the transport has ended (the emulator's last output); it must not use the
            console.
        write_timeout: seconds for the other side to take what is sent.
        on_write: called after each write, from the writing thread; must be quick.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        transcript: Path,
        *,
        window: int = 1 << 20,
        limit: int = 2 << 30,
        diagnose: Callable[[], HarnessError | None] | None = None,
        write_timeout: float = 30.0,
        on_write: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._diagnose = diagnose
        self._write_timeout = write_timeout
        self._on_write = on_write
        self.writes = 0
        """How many were begun."""
        self._window = Window(window)
        try:
            self._transcript = Transcript(transcript)
        except BaseException:
            transport.close()
            raise
        self._pump = Pump(name, transport, self._transcript, self._window, limit=limit, explain=self._explain)

    @property
    def transcript(self) -> Path:
        """See `Console`."""
        return self._transcript.path

    @property
    def received(self) -> int:
        """See `Console`."""
        return self._window.end

    @property
    def flood(self) -> ProductError | None:
        """See `Console`."""
        return self._pump.flood

    def mark(self) -> Mark:
        """See `Console`. Everything that has arrived at this host by now lies before the mark."""
        self._pump.drain()
        return Mark(self._window.end)

    def wait_for(self, pattern: bytes | re.Pattern[bytes], *, timeout: float, since: Mark | None = None) -> Match:
        """See `Console`. A regular expression sees only the bytes so far: end it with the bytes that must follow."""
        if not pattern and isinstance(pattern, bytes):
            raise HarnessBug("waiting for nothing", kind="empty-pattern")
        search = Search(pattern, self._origin(since))
        found: list[Match] = []

        def done() -> bool:
            match = self._scan(search)
            if match is not None:
                found.append(match)
            return match is not None

        if not self._pump.read_until(done, time.monotonic() + timeout):
            raise self._timed_out(pattern, search.origin, timeout)
        return found[0]

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        """See `Console`."""
        return self._pump.read_until(lambda: self._window.end > since.offset, time.monotonic() + timeout)

    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        """See `Console`."""
        self._pump.drain()
        with self._pump.state:
            start = max(since.offset, 0)
            if start >= self._window.start:
                return self._window.slice(start, limit)
            size = min(limit, self._window.end - start)
        return self._transcript.read(start, size)

    def write(self, data: bytes) -> None:
        """See `Console`. Reads meanwhile, so that a device that prints while it listens cannot block both."""
        self.writes += 1
        self._pump.write(data, self._write_timeout)
        if self._on_write is not None:
            self._on_write()

    def unread_by_peer(self) -> bool:
        """Whether the other side has not yet read all bytes that were sent, if the transport knows."""
        unread = getattr(self._pump.transport, "unread_by_peer", None)
        return bool(unread()) if unread is not None else False

    def knock(self) -> bool:
        """Ask a multiplexer before the device to deliver the bytes that it holds. Returns False if there is none."""
        knock = getattr(self._pump.transport, "knock", None)
        if knock is None:
            return False
        knock()
        return True

    def subscribe(self, callback: Callable[[bytes], None]) -> Callable[[], None]:
        """See `Console`. `callback` must be quick and must not use the console."""
        with self._pump.state:
            self._pump.subscribers = (*self._pump.subscribers, callback)

        def end() -> None:
            with self._pump.state:
                self._pump.subscribers = tuple(other for other in self._pump.subscribers if other is not callback)

        return end

    def tail(self, lines: int = 20) -> str:
        """See `Console`."""
        return last_lines(bytes(self._window.data[-lines * 400 :]), lines)

    def note(self, words: str) -> None:
        """Write an event into the events file, at the present offset."""
        with contextlib.suppress(HarnessError, OSError):
            self._transcript.event(words, self._window.end)

    def fileno(self) -> int:
        """The transport's descriptor, for measurements that go past the console."""
        return self._pump.transport.fileno()

    def write_fileno(self) -> int:
        """The descriptor that the transport is written through; the same one, unless there are two."""
        return write_fileno(self._pump.transport)

    def replace(self, transport: Transport, why: str) -> None:
        """Go on with another transport (a new emulator process, a port that came back) in the same transcript.

        Bytes that the old one still holds are read first. The console owns the new one from now on.
        """
        self._pump.replace(transport, why)
        self.note(why)

    def close(self) -> None:
        """See `Console`. What has already arrived is kept, and can still be read."""
        self._pump.close()
        self._transcript.close()

    # --- searching -------------------------------------------------------------------------------

    def _origin(self, since: Mark | None) -> int:
        return self.mark().offset if since is None else max(since.offset, 0)

    def _scan(self, search: Search) -> Match | None:
        """Search once: first the bytes that only the transcript still has, then the bytes in memory."""
        if search.position >= self._window.end:
            return None
        while search.position < self._window.start:
            start = search.position
            data = self._transcript.read(start, CHUNK + 4 * OVERLAP)
            match = search.scan(data, start)
            if match is not None:
                return match
            if search.position <= start:
                search.position = start + max(len(data), 1)
        return search.scan(self._window.data, self._window.start)

    # --- errors ----------------------------------------------------------------------------------

    def _where(self) -> str:
        lines = self.tail() or "(nothing received)"
        return f"console {self.name!r} at byte {self._window.end}, {self.transcript}; last lines:\n{lines}"

    def _explain(self, ended: HarnessError) -> HarnessError:
        """A new error that says why the stream ended: one object must not collect the tracebacks of many raises."""
        if self._diagnose is not None and ended.kind == "console-closed" and not self._pump.closing:
            reason = self._diagnose()
            if reason is not None:
                return reason
        return type(ended)(
            ended.message, kind=ended.kind, expected=ended.expected, where=ended.where or self._where(), hint=ended.hint
        )

    def _timed_out(self, pattern: bytes | re.Pattern[bytes], origin: int, timeout: float) -> InfrastructureError:
        wanted = repr(pattern if isinstance(pattern, bytes) else pattern.pattern)
        came = self._window.end - origin
        return InfrastructureError(
            f"console {self.name!r}: {wanted} did not come within {timeout:g} s",
            kind="console-timeout",
            expected=wanted,
            seen=f"{came} other bytes" if came else "not one byte",
            where=self._where(),
            hint=None if self._window.end else "nothing has come since the start: power, flashing or wiring is suspect",
        )
