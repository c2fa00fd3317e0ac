"""The console over any transport.

Reading follows a leader/follower scheme. A thread that waits for bytes reads the transport itself (no
hand-over between threads, which would cost more than a short exchange takes). When no thread has waited
for a moment, the background reader takes over, so that nothing is left unread while a test computes.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.console.base import Console, Mark, Match
from harness.console.text import last_lines
from harness.console.transcript import Transcript
from harness.console.transport import Transport
from harness.console.window import Search, Window
from harness.errors import BenchError, DeviceFault, HarnessBug, HarnessError

__all__ = ["StreamConsole"]

_CHUNK: Final = 128 << 10
_GRACE: Final = 0.02
"""Seconds without a waiting thread after which the background reader takes over."""
_LONGEST_SLEEP: Final = 3600.0  # what system calls take; waiting goes on after it
_DRAIN_READS: Final = 64
"""Most reads of one drain: more than any socket buffer holds, yet an end under a device that never stops."""


class StreamConsole(Console):
    """A console over a `Transport`.

    Args:
        name: the console's name, for errors.
        transport: owned from now on.
        transcript: where every byte received is kept.
        window: bytes kept in memory; older ones are read from the transcript.
        limit: most bytes a run may print; more is the firmware running wild.
        diagnose: asked for the reason when the transport has ended (the emulator's last words); it must not
            use the console.
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
        self._transport = transport
        self._limit = limit
        self._diagnose = diagnose
        self._write_timeout = write_timeout
        self._on_write = on_write
        self._window = Window(window)
        self._chunk = memoryview(bytearray(_CHUNK))
        self._state = threading.Condition(threading.Lock())
        self._write_lock = threading.Lock()
        self._reading = False  # someone is inside the transport
        self._waiting = 0  # threads that want to read themselves
        self._followers = 0  # threads that sleep until the leader is done
        self._last_wait = 0.0
        self._background_polls = False
        self._ended: HarnessError | None = None
        self._closing = False
        self._subscribers: tuple[Callable[[bytes], None], ...] = ()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            self._transcript = Transcript(transcript)
        except BaseException:
            os.close(self._wake)
            transport.close()
            raise
        self._poll = select.poll()
        self._poll.register(transport.fileno(), select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self._streaming = False  # the last read found plenty: more is likely there already
        self._reader = self._start_reader()

    def _start_reader(self) -> threading.Thread:
        reader = threading.Thread(target=self._background, name=f"console-{self.name}", daemon=True)
        reader.start()
        return reader

    # --- what callers use -------------------------------------------------------------------

    @property
    def transcript(self) -> Path:
        """See `Console`."""
        return self._transcript.path

    @property
    def received(self) -> int:
        """See `Console`."""
        return self._window.end

    def mark(self) -> Mark:
        """See `Console`. Everything that has arrived at this host by now lies before the mark."""
        self._drain()
        return Mark(self._window.end)

    def wait_for(self, pattern: bytes | re.Pattern[bytes], *, timeout: float, since: Mark | None = None) -> Match:
        """See `Console`. A regular expression sees what has come so far: end it with what must follow."""
        if not pattern and isinstance(pattern, bytes):
            raise HarnessBug("waiting for nothing", kind="empty-pattern")
        search = Search(pattern, self._origin(since))
        found: list[Match] = []

        def done() -> bool:
            match = self._scan(search)
            if match is not None:
                found.append(match)
            return match is not None

        if not self._read_until(done, time.monotonic() + timeout):
            raise self._timed_out(pattern, search.origin, timeout)
        return found[0]

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        """See `Console`."""
        return self._read_until(lambda: self._window.end > since.offset, time.monotonic() + timeout)

    def read_from(self, since: Mark, *, limit: int = 1 << 20) -> bytes:
        """See `Console`."""
        self._drain()
        with self._state:
            start = max(since.offset, 0)
            if start >= self._window.start:
                return self._window.slice(start, limit)
            size = min(limit, self._window.end - start)
        return self._transcript.read(start, size)

    def write(self, data: bytes) -> None:
        """See `Console`. Reads meanwhile, so that a device that prints while it listens cannot block both."""
        with self._write_lock:
            self._check_open()
            left = memoryview(data)
            deadline = time.monotonic() + self._write_timeout
            try:
                self._transcript.sent(data, self._window.end)
                while left:
                    count = self._transport.write(left)
                    left = left[count:]
                    if left and not count:
                        self._wait_writable(deadline)
            except HarnessError as error:
                self._end(error)
                raise
            except OSError as error:
                raise self._closed_error(f"cannot send: {error.strerror}") from error
        if self._on_write is not None:
            self._on_write()

    def unread_by_peer(self) -> bool:
        """Whether bytes that were sent still wait for the other side to read them, where the transport can tell."""
        unread = getattr(self._transport, "unread_by_peer", None)
        return bool(unread()) if unread is not None else False

    def subscribe(self, callback: Callable[[bytes], None]) -> Callable[[], None]:
        """See `Console`. `callback` must be quick and must not use the console."""
        with self._state:
            self._subscribers = (*self._subscribers, callback)

        def end() -> None:
            with self._state:
                self._subscribers = tuple(other for other in self._subscribers if other is not callback)

        return end

    def tail(self, lines: int = 20) -> str:
        """See `Console`."""
        return last_lines(bytes(self._window.data[-lines * 400 :]), lines)

    def note(self, words: str) -> None:
        """Write what happened into the events file, at the present offset."""
        with contextlib.suppress(HarnessError, OSError):
            self._transcript.event(words, self._window.end)

    def replace(self, transport: Transport, why: str) -> None:
        """Go on with another transport (a new emulator process, a port that came back) in the same transcript.

        What the old one still holds is taken in first. The new one is owned from now on.
        """
        if self._closing:
            transport.close()
            self._check_open()
        with contextlib.suppress(HarnessError):
            self._drain()
        with self._write_lock, self._state:
            if self._ended is None:
                self._ended = BenchError(f"console {self.name!r} was interrupted: {why}", kind="console-closed")
            self._signal()
            self._state.notify_all()
            while self._reading:
                self._follow(0.05)
            reader = self._reader
            self._state.release()
            try:
                reader.join()
            finally:
                self._state.acquire()
            self._poll.unregister(self._transport.fileno())
            self._transport.close()
            self._transport = transport
            self._poll.register(transport.fileno(), select.POLLIN)
            self._unsignal()
            self._streaming = False
            self._ended = None
            self._reader = self._start_reader()
        self.note(why)

    def close(self) -> None:
        """See `Console`. What has already arrived is kept."""
        if self._closing:
            return
        with contextlib.suppress(HarnessError):
            self._drain()
        with self._state:
            self._closing = True
            if self._ended is None:
                self._ended = BenchError(f"console {self.name!r} was closed", kind="console-closed")
            self._state.notify_all()
        self._signal()
        if self._reader is not threading.current_thread():
            self._reader.join()
        with self._state:
            while self._reading:
                self._state.wait()
        self._transport.close()
        self._transcript.close()
        os.close(self._wake)

    # --- reading -------------------------------------------------------------------------------

    def _origin(self, since: Mark | None) -> int:
        return self.mark().offset if since is None else max(since.offset, 0)

    def _scan(self, search: Search) -> Match | None:
        """One look at what is held; first at what only the transcript still has."""
        if search.position >= self._window.end:
            return None
        while search.position < self._window.start:
            start = search.position
            data = self._transcript.read(start, _CHUNK + (256 << 10))
            match = search.scan(data, start)
            if match is not None:
                return match
            if search.position <= start:
                search.position = start + max(len(data), 1)
        return search.scan(self._window.data, self._window.start)

    def _read_until(self, done: Callable[[], bool], deadline: float) -> bool:
        """Read until `done()` or the deadline; True when done. `done` runs with the state locked."""
        with self._state:
            if done():
                return True
            self._waiting += 1
            if self._background_polls:
                self._signal()
            try:
                while True:
                    if self._ended is not None:
                        raise self._ended_error()
                    left = min(deadline - time.monotonic(), _LONGEST_SLEEP)
                    if left <= 0:
                        return False
                    if self._reading:
                        self._follow(left)
                    else:
                        self._lead(left)
                    if done():
                        return True
            finally:
                self._waiting -= 1
                self._last_wait = time.monotonic()

    def _follow(self, timeout: float) -> None:
        """Sleep until the leader has read something (state locked)."""
        self._followers += 1
        try:
            self._state.wait(timeout)
        finally:
            self._followers -= 1

    def _lead(self, timeout: float) -> None:
        """Read one chunk (state locked at entry and exit, not in between)."""
        self._reading = True
        self._state.release()
        count: int | None = None
        try:
            if timeout <= 0 or self._streaming:
                count = self._transport.read_into(self._chunk)
            if count is None and timeout > 0:
                ready = self._poll.poll(max(timeout * 1000, 1))
                if len(ready) == 1 and ready[0][0] != self._wake:
                    count = self._transport.read_into(self._chunk)
                elif ready:
                    self._unsignal()
        except OSError:
            count = 0
        finally:
            self._state.acquire()
            self._reading = False
            if self._followers or self._closing:
                self._state.notify_all()
        self._streaming = count is not None and count >= _CHUNK // 8
        self._take(count)

    def _take(self, count: int | None) -> None:
        """Keep `count` bytes of the chunk (state locked)."""
        if count is None or self._ended is not None:
            return
        if count == 0:
            self._ended = BenchError(f"console {self.name!r}: the other side has closed", kind="console-closed")
            return
        data = self._chunk[:count]
        self._window.append(data)
        try:
            self._transcript.received(data, self._window.end)
        except HarnessError as error:
            self._ended = error
        if self._window.end > self._limit:
            self._ended = DeviceFault(
                f"console {self.name!r} printed more than {self._limit} bytes",
                kind="console-flood",
                where=str(self.transcript),
            )
        if self._subscribers:
            chunk = bytes(data)
            for callback in self._subscribers:
                try:
                    callback(chunk)
                except Exception as error:  # noqa: BLE001 - whatever a subscriber does, reading must not die silently
                    self._ended = HarnessBug(
                        f"a subscriber of console {self.name!r} failed: {error!r}", kind="subscriber"
                    )

    def _drain(self) -> None:
        """Take in what has arrived, without waiting."""
        with self._state:
            self._waiting += 1
            if self._background_polls:
                self._signal()
            try:
                reads = 0
                while self._ended is None and reads < _DRAIN_READS:
                    if self._reading:
                        if not self._background_polls and not self._readable():
                            return  # the leader waits: all that has arrived is taken in
                        self._follow(0.05)
                        continue
                    before = self._window.end
                    self._lead(0)
                    reads += 1
                    if self._window.end == before:
                        return
            finally:
                self._waiting -= 1
                self._last_wait = time.monotonic()

    def _readable(self) -> bool:
        poll = select.poll()
        poll.register(self._transport.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _background(self) -> None:
        poll = select.poll()
        poll.register(self._transport.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            with self._state:
                while not self._closing and self._ended is None:
                    idle = time.monotonic() - self._last_wait
                    if not self._waiting and not self._reading and idle >= _GRACE:
                        break
                    self._state.wait(_GRACE)
                if self._closing or self._ended is not None:
                    return
                with contextlib.suppress(HarnessError):  # a disk that is full shows with the next byte
                    self._transcript.flush()
                self._reading = self._background_polls = True
            ready = poll.poll()
            woken = any(fd == self._wake for fd, _ in ready)
            with self._state:
                self._reading = self._background_polls = False
                if woken:
                    self._unsignal()
                elif not self._closing:
                    self._lead(0)
                self._state.notify_all()

    def _signal(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def _unsignal(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_read(self._wake)

    def _wait_writable(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise BenchError(
                f"console {self.name!r}: the other side takes no more bytes",
                kind="console-write-timeout",
                where=self._where(),
                hint="the firmware no longer reads its UART",
            )
        poll = select.poll()
        poll.register(self._transport.fileno(), select.POLLIN | select.POLLOUT)
        poll.poll(min(left, 1.0) * 1000)
        self._drain()
        if self._ended is not None:
            raise self._ended_error()

    # --- errors ----------------------------------------------------------------------------------

    def _end(self, error: HarnessError) -> None:
        with self._state:
            if self._ended is None:
                self._ended = error
            self._state.notify_all()
        self._signal()

    def _check_open(self) -> None:
        if self._ended is not None:
            raise self._ended_error()

    def _where(self) -> str:
        lines = self.tail() or "(nothing received)"
        return f"console {self.name!r} at byte {self._window.end}, {self.transcript}; last lines:\n{lines}"

    def _ended_error(self) -> HarnessError:
        """A fresh error saying why the stream ended: one object must not collect tracebacks of many raises."""
        ended = self._ended
        if ended is None:
            raise HarnessBug("the console has not ended", kind="console-state")
        reason = self._diagnose() if self._diagnose is not None and ended.kind == "console-closed" else None
        if reason is not None and not self._closing:
            return reason
        return type(ended)(
            ended.message, kind=ended.kind, expected=ended.expected, where=ended.where or self._where(), hint=ended.hint
        )

    def _closed_error(self, words: str) -> HarnessError:
        self._end(BenchError(f"console {self.name!r}: {words}", kind="console-closed"))
        return self._ended_error()

    def _timed_out(self, pattern: bytes | re.Pattern[bytes], origin: int, timeout: float) -> BenchError:
        wanted = repr(pattern if isinstance(pattern, bytes) else pattern.pattern)
        came = self._window.end - origin
        return BenchError(
            f"console {self.name!r}: {wanted} did not come within {timeout:g} s",
            kind="console-timeout",
            expected=wanted,
            seen=f"{came} other bytes" if came else "not one byte",
            where=self._where(),
            hint=None if self._window.end else "nothing has come since the start: power, flashing or wiring is suspect",
        )
