"""QEMU's monitor: the QEMU Machine Protocol (QEMU, docs/interop/qmp-spec), spoken over a connected socket."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tfm_harness.errors import InfrastructureError

__all__ = ["Command", "Qmp", "QmpRefusedError"]

Command = tuple[str, Mapping[str, object]]
"""A command's name and its arguments."""

_SENDING: Final = 5.0  # seconds: a command is some hundred bytes
_PIECE: Final = 1 << 16
_NO_COMMAND: Final = b"{}\n"
_LONGEST_LINE: Final = 1 << 24


class QmpRefusedError(InfrastructureError):
    """QEMU answered a command with an error."""


class _Batch:
    """Commands that were sent together, and their answers."""

    def __init__(self, size: int) -> None:
        self.answers: list[object] = [None] * size
        self.refusal: str | None = None
        self.lost = False
        self.left = size
        self.over = threading.Event()

    def answered(self, place: int, message: Mapping[str, Any]) -> None:
        if "error" in message:
            error = message["error"]
            self.refusal = self.refusal or str(error.get("desc", error) if isinstance(error, dict) else error)
        self.answers[place] = message.get("return")
        self.left -= 1
        if not self.left:
            self.over.set()


class Qmp:
    """One monitor connection. A thread of its own takes in answers and events.

    Args:
        sock: connected to the emulator's monitor; owned from now on.
        on_event: called in that thread for each event, in order. It may call `tell`, but must not wait for an answer.
        name: for thread names and errors.
    """

    def __init__(self, sock: socket.socket, on_event: Callable[[Mapping[str, Any]], None], name: str) -> None:
        self.name = name
        self.version = ""
        self._socket = sock
        self._socket.settimeout(_SENDING)
        self._on_event = on_event
        self._lock = threading.Lock()  # guards the attributes below
        self._sent = 0
        self._pending: dict[int, tuple[_Batch, int]] = {}
        self._waking = False  # QEMU has not yet answered a message that names no command
        self._lost: str | None = None
        self._greeting = _Batch(1)
        self._steps: Iterator[float] | None = None
        self._due = 0.0
        self._ending = False
        self._alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=f"qmp-{name}", daemon=True)
        self._thread.start()

    def connect(self, timeout: float) -> None:
        """Wait for the greeting and leave the negotiation mode; sets `version`. Raises as `execute_all`."""
        end = time.monotonic() + timeout
        (greeting,) = self._wait(self._greeting, timeout, timeout)
        with contextlib.suppress(AttributeError, KeyError, TypeError):
            numbers = greeting["version"]["qemu"]  # type: ignore[index]
            self.version = ".".join(str(numbers.get(part, 0)) for part in ("major", "minor", "micro"))
        self._wait(self._send([("qmp_capabilities", {})]), end - time.monotonic(), timeout)

    def execute_all(self, commands: Sequence[Command], *, timeout: float = 5.0) -> list[object]:
        """Send commands at once, which QEMU carries out in their order, and wait for all answers (``return``).

        Raises:
            InfrastructureError: kind ``qmp-timeout`` or ``qmp-lost``.
            QmpRefusedError: kind ``qmp-refused``. QEMU still carries out the commands after a refused one.
        """
        return self._wait(self._send(commands), timeout, timeout)

    def tell(self, commands: Sequence[Command]) -> None:
        """As `execute_all`, but without waiting; a refusal or a lost connection is not reported."""
        with contextlib.suppress(InfrastructureError):
            self._send(commands)

    def wake(self) -> None:
        """Make QEMU's main loop run once, unless a message under way does that already. Never raises.

        The main loop runs for each message. A message that names no command is refused and changes nothing. It is the
        shortest one, and QEMU reads its monitor byte by byte, at about 3 us of CPU time for each byte.
        """
        with self._lock, contextlib.suppress(OSError):
            if not (self._pending or self._waking or self._lost or self._ending):
                self._waking = True
                self._socket.sendall(_NO_COMMAND)

    def repeat(self, steps: Iterator[float]) -> None:
        """Run an iterator in this connection's thread; each item is the number of seconds until the next step.

        They replace the steps of an earlier call. They must not wait.
        """
        with self._lock:
            self._steps, self._due = steps, 0.0
            self._ring()

    def close(self) -> None:
        """Disconnect and end the thread. Never raises; safe to call twice."""
        with self._lock:
            self._ending = True
            self._ring()
        self._thread.join()
        with self._lock:
            if self._alarm >= 0:
                os.close(self._alarm)
                self._alarm = -1
        self._socket.close()

    def _ring(self) -> None:
        if self._alarm >= 0:
            os.eventfd_write(self._alarm, 1)

    def _send(self, commands: Sequence[Command]) -> _Batch:
        batch = _Batch(len(commands))
        if not commands:
            batch.over.set()
            return batch
        with self._lock:
            if self._lost is not None or self._ending:
                raise self._lost_error(self._lost or "it is closed")
            text = b""
            for place, (name, arguments) in enumerate(commands):
                self._sent += 1
                self._pending[self._sent] = batch, place
                message = {"execute": name, "id": self._sent} | ({"arguments": arguments} if arguments else {})
                text += json.dumps(message, separators=(",", ":")).encode() + b"\n"
            try:
                self._socket.sendall(text)
            except TimeoutError:
                pass  # no answer will come either; waiting for it reports that
            except OSError as error:
                self._forget(batch)
                raise self._lost_error(str(error)) from error
        return batch

    def _forget(self, batch: _Batch) -> None:
        for number in [number for number, (other, _) in self._pending.items() if other is batch]:
            del self._pending[number]

    def _wait(self, batch: _Batch, timeout: float, told: float) -> list[object]:
        if not batch.over.wait(timeout):
            with self._lock:
                self._forget(batch)
            raise InfrastructureError(f"{self.name}: QEMU's monitor did not answer in {told:g} s", kind="qmp-timeout")
        if batch.lost:
            raise self._lost_error(self._lost or "it is closed")
        if batch.refusal is not None:
            raise QmpRefusedError(
                f"{self.name}: QEMU refused a monitor command", kind="qmp-refused", seen=batch.refusal
            )
        return batch.answers

    def _lost_error(self, seen: str) -> InfrastructureError:
        return InfrastructureError(f"{self.name}: the QMP connection is lost", kind="qmp-lost", seen=seen)

    # --- in the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        lost = "it is closed"
        try:
            self._listen()
        except Exception as error:  # noqa: BLE001 - carried to those who wait
            lost = str(error) or repr(error)
        with self._lock:
            self._lost = lost
            batches = [self._greeting, *(batch for batch, _ in self._pending.values())]
            self._pending.clear()
        for batch in batches:
            if not batch.over.is_set():
                batch.lost = True
                batch.over.set()

    def _listen(self) -> None:
        """Listen until `close` or the other side's end. Raises `OSError`, and `ValueError` for what is not QMP."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._alarm, select.POLLIN)
        rest = b""
        while not self._ending:
            ready = {fd for fd, _ in poll.poll(self._step())}
            if self._alarm in ready:
                os.eventfd_read(self._alarm)
            if self._socket.fileno() not in ready:
                continue
            piece = self._socket.recv(_PIECE)
            if not piece:
                raise OSError("QEMU hung up")
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise ValueError(f"a line of more than {_LONGEST_LINE} bytes")
            for line in lines:
                self._take(line)

    def _step(self) -> float | None:
        """Take the next step, when it is due. Returns the milliseconds until the step after it."""
        with self._lock:
            steps, due = self._steps, self._due
        if steps is None:
            return None
        now = time.monotonic()
        if now >= due:
            pause = next(steps, None)
            with self._lock:
                if self._steps is not steps:  # `repeat` was called meanwhile
                    return 0
                if pause is None:
                    self._steps = None
                    return None
                self._due = due = now + pause
        return (due - now) * 1000

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise ValueError(f"no JSON object: {line[:80]!r}")  # noqa: TRY004 - of what was sent
        if "event" in message:
            self._on_event(message)
        elif "QMP" in message:
            self._greeting.answered(0, {"return": message["QMP"]})
        elif "id" not in message:
            self._waking = False
        else:
            number = message["id"]
            with self._lock:
                waiting = self._pending.pop(number, None) if isinstance(number, int) else None
            if waiting is not None:
                batch, place = waiting
                batch.answered(place, message)
