"""Decides which thread reads a console's transport, and when: leader and followers.

A thread that waits for bytes reads the transport itself (no hand-over between threads, which would cost more
than a short exchange takes). When no thread has waited for a moment, the background reader takes over, so that
nothing is left unread while a test computes.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from tfm_harness.console.transcript import Transcript
from tfm_harness.console.transport import Transport, write_fileno
from tfm_harness.console.window import Window
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError, ProductError

__all__ = ["CHUNK", "Pump"]

CHUNK: Final = 128 << 10
"""Most bytes of one read."""
_GRACE: Final = 0.02
"""Seconds without a waiting thread after which the background reader takes over."""
_LONGEST_SLEEP: Final = 3600.0  # limit for one system call; a longer wait is repeated
_DRAIN_READS: Final = 64
"""Most reads of one drain: more than any socket buffer holds, but finite if a device never stops."""


class Pump:
    """Moves bytes from a transport into a window and a transcript, and from writers into the transport.

    Args:
        name: the console's name, for errors.
        transport, transcript: owned from now on.
        window: where the last bytes are held.
        limit: most bytes that a run may print; more means that the firmware prints without end.
        explain: makes the error to raise from the one that ended the stream.

    Attributes:
        state: guards window and counters; `read_until`'s condition runs with it held.
        ended: why nothing more can come, None while the stream lives.
        flood: the error that the limit was passed; it stays when the stream continues over another transport.
        closing: `close` was called.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        transcript: Transcript,
        window: Window,
        *,
        limit: int,
        explain: Callable[[HarnessError], HarnessError],
    ) -> None:
        self.name = name
        self.transport = transport
        self._lock = threading.Lock()  # the condition's own lock, entered directly on the path of every round trip
        self.state = threading.Condition(self._lock)
        self.ended: HarnessError | None = None
        self.flood: ProductError | None = None
        self.closing = False
        self.subscribers: tuple[Callable[[bytes], None], ...] = ()
        self._transcript = transcript
        self._window = window
        self._limit = limit
        self._explain = explain
        self._chunk = memoryview(bytearray(CHUNK))
        self._write_lock = threading.Lock()
        self._reading = False  # a thread reads from the transport
        self._waiting = 0  # threads that want to read themselves
        self._followers = 0  # threads that sleep until the leader is done
        self._last_wait = 0.0
        self._background_polls = False
        self._streaming = False  # the last read was large: more has probably come already
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = self._make_poll()
        self._reader = self._start_reader()

    def _make_poll(self) -> select.poll:
        poll = select.poll()
        poll.register(self.transport.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        return poll

    def _start_reader(self) -> threading.Thread:
        reader = threading.Thread(target=self._background, name=f"console-{self.name}", daemon=True)
        reader.start()
        return reader

    @property
    def waiting(self) -> int:
        """How many threads wait for bytes now."""
        return self._waiting

    def check_open(self) -> None:
        """Raise the reason if the stream has ended."""
        if self.ended is not None:
            raise self._explain(self.ended)

    def _check_sound(self) -> None:
        """Raise unless the stream merely ended: after a mere end, bytes that came before may still be used."""
        if self.ended is not None and self.ended.kind != "console-closed":
            raise self._explain(self.ended)

    def fail(self, error: HarnessError) -> None:
        """End the stream: everybody who waits gets `error`."""
        with self.state:
            if self.ended is None:
                self.ended = error
            self.state.notify_all()
        self._signal()

    # --- reading -----------------------------------------------------------------------------------

    def read_until(self, done: Callable[[], bool], deadline: float) -> bool:
        """Read until `done()` (True) or the monotonic `deadline` (False). Arrived bytes are read at least once.

        Raises:
            HarnessError: why the stream has ended, if all bytes that came do not satisfy `done`.
        """
        if deadline <= time.monotonic():
            # A caller that polls often keeps the background reader away, so that it must read itself.
            self.drain()
        with self._lock:
            if self.ended is not None:
                self._check_sound()
            if done():
                return True
            self._waiting += 1
            if self._background_polls:
                self._signal()
            try:
                while True:
                    if self.ended is not None:
                        raise self._explain(self.ended)
                    left = min(deadline - time.monotonic(), _LONGEST_SLEEP)
                    if left <= 0:
                        return False
                    if self._reading:
                        self._follow(left)
                    else:
                        self._lead(left)
                    if self.ended is not None:
                        self._check_sound()
                    if done():
                        return True
            finally:
                self._waiting -= 1
                self._last_wait = time.monotonic()

    def drain(self) -> None:
        """Read the bytes that have arrived, without waiting."""
        with self._lock:
            if not self._reading and not self._poll.poll(0):  # the usual case, and the quick one
                self._last_wait = time.monotonic()
                return
            self._waiting += 1
            if self._background_polls:
                self._signal()
            try:
                reads = 0
                while self.ended is None and reads < _DRAIN_READS:
                    if self._reading:
                        if not self._background_polls and not self._readable():
                            return  # the leader waits, so all bytes that have arrived are read
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

    def _follow(self, timeout: float) -> None:
        """Sleep until the leader has read something (state locked)."""
        self._followers += 1
        try:
            self.state.wait(timeout)
        finally:
            self._followers -= 1

    def _lead(self, timeout: float) -> None:
        """Read one chunk (state locked at entry and exit, not in between)."""
        self._reading = True
        self.state.release()
        count: int | None = None
        try:
            if timeout <= 0 or self._streaming:
                count = self.transport.read_into(self._chunk)
            if count is None and timeout > 0:
                ready = self._poll.poll(max(timeout * 1000, 1))
                if len(ready) == 1 and ready[0][0] != self._wake:
                    count = self.transport.read_into(self._chunk)
                elif ready:
                    self._unsignal()
        except OSError:
            count = 0
        finally:
            self.state.acquire()
            self._reading = False
            self._streaming = count is not None and count >= CHUNK // 8
            self._take(count)
            if self._followers or self.closing:
                self.state.notify_all()

    def _take(self, count: int | None) -> None:
        """Keep `count` bytes of the chunk (state locked)."""
        if count is None or self.ended is not None:
            return
        if count == 0:
            self.ended = InfrastructureError(f"console {self.name!r}: the other side has closed", kind="console-closed")
            return
        data = self._chunk[:count]
        self._window.append(data)
        try:
            self._transcript.received(data, self._window.end)
        except HarnessError as error:
            self.ended = error
        if self._window.end > self._limit:
            self.ended = self.flood = ProductError(
                f"console {self.name!r} printed more than {self._limit} bytes",
                kind="console-flood",
                expected=f"at most {self._limit} bytes in a run: the target's limits.transcript",
                where=str(self._transcript.path),
                hint="read the transcript's end; if so much output is intended, raise the limit",
            )
        if self.subscribers:
            chunk = bytes(data)
            for callback in self.subscribers:
                try:
                    callback(chunk)
                except Exception as error:  # noqa: BLE001 - whatever a subscriber does, reading must not die silently
                    self.ended = HarnessBug(
                        f"a subscriber of console {self.name!r} failed: {error!r}", kind="subscriber"
                    )

    def _readable(self) -> bool:
        poll = select.poll()
        poll.register(self.transport.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _background(self) -> None:
        poll = self._make_poll()
        while True:
            with self.state:
                while not self.closing and self.ended is None:
                    left = _GRACE
                    if not self._waiting and not self._reading:
                        left -= time.monotonic() - self._last_wait
                        if left <= 0:
                            break
                    self.state.wait(left)
                if self.closing or self.ended is not None:
                    return
                with contextlib.suppress(HarnessError):  # the next byte reports a full disk
                    self._transcript.flush()
                self._reading = self._background_polls = True
            ready = poll.poll()
            woken = any(fd == self._wake for fd, _ in ready)
            with self.state:
                self._reading = self._background_polls = False
                if woken:
                    self._unsignal()
                elif not self.closing:
                    self._lead(0)
                self.state.notify_all()

    def _signal(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_write(self._wake, 1)

    def _unsignal(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_read(self._wake)

    # --- writing -----------------------------------------------------------------------------------

    def write(self, data: bytes, timeout: float) -> None:
        """Send all of `data`, reading meanwhile, so that a device that prints while it listens cannot block both."""
        with self._write_lock:
            self.check_open()
            try:
                self._transcript.sent(data, self._window.end)
                count = self.transport.write(data)
                if count < len(data):
                    self._write_rest(memoryview(data)[count:], time.monotonic() + timeout)
            except OSError as error:
                ended = InfrastructureError(
                    f"console {self.name!r}: cannot send: {error.strerror}", kind="console-closed"
                )
                self.fail(ended)
                raise self._explain(self.ended or ended) from error

    def _write_rest(self, left: memoryview, deadline: float) -> None:
        while left:
            count = self.transport.write(left)
            left = left[count:]
            if left and not count:
                self._wait_writable(deadline)

    def _wait_writable(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise InfrastructureError(
                f"console {self.name!r}: the other side takes no more bytes",
                kind="console-write-timeout",
                where=str(self._transcript.path),
                hint="the firmware no longer reads its UART",
            )
        fd, write_fd = self.transport.fileno(), write_fileno(self.transport)
        poll = select.poll()
        poll.register(fd, select.POLLIN | (select.POLLOUT if write_fd == fd else 0))
        if write_fd != fd:
            poll.register(write_fd, select.POLLOUT)
        poll.poll(min(left, 1.0) * 1000)
        self.drain()
        self.check_open()

    # --- ending ------------------------------------------------------------------------------------

    def replace(self, transport: Transport, why: str) -> None:
        """Continue with another transport; bytes that the old one still holds are read first."""
        if self.closing:
            transport.close()
            self.check_open()
        with contextlib.suppress(HarnessError):
            self.drain()
        with self._write_lock:
            self._halt(InfrastructureError(f"console {self.name!r} was interrupted: {why}", kind="console-closed"))
            self.transport.close()
            with self.state:
                self.transport = transport
                self._poll = self._make_poll()
                self._unsignal()
                self._streaming = False
                self.ended = None
                self._reader = self._start_reader()

    def close(self) -> None:
        """Read the bytes that have arrived, end the reader, close the transport. Safe to call twice."""
        if self.closing:
            return
        with contextlib.suppress(HarnessError):
            self.drain()
        self.closing = True
        self._halt(InfrastructureError(f"console {self.name!r} was closed", kind="console-closed"))
        self.transport.close()
        wake, self._wake = self._wake, -1
        os.close(wake)

    def _halt(self, reason: HarnessError) -> None:
        """End reading: when this returns, no thread reads any more."""
        self.fail(reason)
        if self._reader is not threading.current_thread():
            self._reader.join()
        with self.state:
            while self._reading:
                self._signal()
                self._follow(0.05)
