"""Consoles in memory, for tests of protocol clients and of other code that reads a UART."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from tfm_harness.console.base import Console, Mark, Match
from tfm_harness.errors import InfrastructureError
from tfm_harness.testing.clock import FakeClock

__all__ = ["MemoryConsole", "ScriptedConsole"]

Device = Callable[[bytes], bytes]
"""Takes the written bytes, returns the answer's bytes."""


class _Kept(Console):
    """Base of both consoles: keeps the bytes received so far."""

    def __init__(self, device: Device, name: str, path: Path | None) -> None:
        self.name = name
        self.device = device
        self.data = bytearray()
        self.written = bytearray()
        self.closed = False
        self._path = path
        self._listeners: list[Callable[[bytes], None]] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    def _keep(self, data: bytes) -> None:
        self.data += data
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(data)
        for listener in tuple(self._listeners):
            listener(data)

    def _check(self) -> None:
        if self.closed:
            raise InfrastructureError("the console is closed", kind="console-closed", where=f"console {self.name!r}")

    def mark(self) -> Mark:
        """See `Console`."""
        return Mark(len(self.data))

    def _search(self, pattern: bytes | re.Pattern[bytes], start: int) -> Match | None:
        compiled = re.compile(re.escape(pattern)) if isinstance(pattern, bytes) else pattern
        found = compiled.search(self.data, start)
        return Match(found[0], found.start(), found.end(), found.groups()) if found else None

    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        """See `Console`."""
        return bytes(self.data[since.offset : since.offset + limit])

    def subscribe(self, callback: Callable[[bytes], None]) -> Callable[[], None]:
        """See `Console`."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def tail(self, lines: int = 20) -> str:
        """See `Console`."""
        return "\n".join(self.data.decode("ascii", "backslashreplace").splitlines()[-lines:])

    @property
    def transcript(self) -> Path:
        """See `Console`; the null device if the console was made without a file."""
        return self._path or Path(os.devnull)

    @property
    def received(self) -> int:
        """See `Console`."""
        return len(self.data)

    def _timed_out(self, pattern: bytes | re.Pattern[bytes], timeout: float) -> InfrastructureError:
        return InfrastructureError(
            f"{pattern!r} did not come within {timeout:g} s",
            kind="console-timeout",
            where=f"console {self.name!r}; last lines:\n{self.tail()}",
        )


class MemoryConsole(_Kept):
    """A console on a simulated device; waiting takes real time, and another thread may push bytes.

    Args:
        device: called with each chunk written; the bytes that it returns are received at once.
        path: the transcript's file; None: there is none.
        name: for errors.
    """

    def __init__(self, device: Device = lambda _: b"", path: Path | None = None, name: str = "ns") -> None:
        super().__init__(device, name, path)
        self._news = threading.Condition()

    def push(self, data: bytes) -> None:
        """Let the device print something without a request."""
        with self._news:
            self._keep(data)
            self._news.notify_all()

    def write(self, data: bytes) -> None:
        """See `Console`."""
        self._check()
        self.written += data
        answer = self.device(data)
        if answer:
            self.push(answer)

    def wait_for(self, pattern: bytes | re.Pattern[bytes], *, timeout: float, since: Mark | None = None) -> Match:
        """See `Console`."""
        start = since or self.mark()
        end = time.monotonic() + timeout
        while True:
            found = self._search(pattern, start.offset)
            if found is not None:
                return found
            if not self.wait_data(Mark(len(self.data)), timeout=end - time.monotonic()):
                raise self._timed_out(pattern, timeout)

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        """See `Console`."""
        with self._news:
            self._check()
            self._news.wait_for(lambda: len(self.data) > since.offset or self.closed, max(timeout, 0))
            if len(self.data) <= since.offset:
                self._check()
                return False
            return True

    def close(self) -> None:
        """See `Console`."""
        with self._news:
            self.closed = True
            self._news.notify_all()


class ScriptedConsole(_Kept):
    """A console on a fake clock, whose time passes only as bytes are delivered or awaited in vain.

    Args:
        device: called with each chunk written.
        chunker: cuts the device's bytes into the pieces in which they arrive.
        clock: the same clock that the client under test uses.
        path: the transcript's file; None: there is none.
        name: for errors.
    """

    TICK = 1e-4
    """Seconds that pass for each chunk, and for each read without bytes."""

    def __init__(
        self,
        device: Device = lambda _: b"",
        chunker: Callable[[bytes], Iterable[bytes]] = lambda data: [data],
        *,
        clock: FakeClock | None = None,
        path: Path | None = None,
        name: str = "ns",
    ) -> None:
        super().__init__(device, name, path)
        self.clock = clock or FakeClock()
        self.chunker = chunker
        self.waiting: deque[bytes] = deque()
        self.writes: list[bytes] = []

    def say(self, data: bytes) -> None:
        """Let the device print something; it arrives chunk by chunk when a client waits."""
        self.waiting.extend(chunk for chunk in self.chunker(data) if chunk)

    def write(self, data: bytes) -> None:
        """See `Console`."""
        self._check()
        self.written += data
        self.writes.append(data)
        self.say(self.device(data))

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        """See `Console`."""
        self._check()
        if len(self.data) > since.offset:
            return True
        if self.waiting:
            self._keep(self.waiting.popleft())
            self.clock.advance(self.TICK)
            return True
        self.clock.advance(max(timeout, self.TICK))
        return False

    def wait_for(self, pattern: bytes | re.Pattern[bytes], *, timeout: float, since: Mark | None = None) -> Match:
        """See `Console`."""
        start = since or self.mark()
        end = self.clock() + timeout
        while (found := self._search(pattern, start.offset)) is None:
            if self.clock() >= end or not self.wait_data(Mark(len(self.data)), timeout=end - self.clock()):
                raise self._timed_out(pattern, timeout)
        return found

    def close(self) -> None:
        """See `Console`."""
        self.closed = True
