"""A QMP connection (the ``qemu.qmp`` package) that plain threads can use."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError

from tfm_harness.errors import InfrastructureError

__all__ = ["Qmp", "QmpRefusedError"]

_T = TypeVar("_T")
_ENDING = 5.0  # seconds for tasks that are cancelled


class QmpRefusedError(InfrastructureError):
    """QEMU answered a command with an error."""


class Qmp:
    """One monitor connection with an event loop in a thread of its own.

    Args:
        sock: connected to the emulator's monitor; owned from now on.
        on_event: awaited in the loop for every event, in order.
        name: for thread names and errors.
    """

    def __init__(
        self, sock: socket.socket, on_event: Callable[[Mapping[str, Any]], Awaitable[None]], name: str
    ) -> None:
        self.name = name
        self.version = ""
        self._socket = sock
        self._on_event = on_event
        self._client = QMPClient(name)
        # A lost connection is raised here with its cause; the library would report it again as an error log.
        self._client.logger.setLevel(logging.CRITICAL + 1)
        self._listener = EventListener()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"qmp-{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            # A flood of events on a busy host may outlast the limit of `close`: nothing is left pending even then.
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=_ENDING))
            self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, _T], timeout: float) -> _T:
        """Run `coroutine` in the loop and wait for it.

        Raises:
            InfrastructureError: kind ``qmp-timeout`` or ``qmp-lost``.
            QmpRefusedError: kind ``qmp-refused``.
        """
        if not self._thread.is_alive():
            coroutine.close()
            raise InfrastructureError(f"{self.name}: the QMP connection is closed", kind="qmp-lost")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise InfrastructureError(
                f"{self.name}: QEMU's monitor did not answer in {timeout:g} s", kind="qmp-timeout"
            ) from error
        except ExecuteError as error:
            raise QmpRefusedError(
                f"{self.name}: QEMU refused a monitor command", kind="qmp-refused", seen=str(error)
            ) from error
        except (QMPError, OSError, EOFError, concurrent.futures.CancelledError) as error:
            raise InfrastructureError(
                f"{self.name}: the QMP connection is lost", kind="qmp-lost", seen=str(error)
            ) from error

    def connect(self, timeout: float) -> None:
        """Greet; sets `version`. Raises `InfrastructureError` as `call`."""
        self.call(self._connect(), timeout)

    async def _connect(self) -> None:
        self._client.register_listener(self._listener)
        await self._client.connect(self._socket)
        greeting = self._client.greeting
        numbers = greeting.QMP.version.get("qemu") if greeting is not None else None
        if isinstance(numbers, dict):
            self.version = ".".join(str(numbers.get(part, 0)) for part in ("major", "minor", "micro"))
        self.start(self._events())

    async def _events(self) -> None:
        async for event in self._listener:
            await self._on_event(event)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine` beside the others until `close` (from the loop's own thread)."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def start_soon(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """As `start`, from any thread."""
        self._loop.call_soon_threadsafe(self.start, coroutine)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a lost connection shows at the next command; here it is only taken note of

    async def command(self, name: str, arguments: Mapping[str, object] | None = None) -> object:
        """Send one command (in the loop's thread)."""
        return await self._client.execute(name, dict(arguments) if arguments else None)

    def execute(self, name: str, arguments: Mapping[str, object] | None = None, *, timeout: float = 5.0) -> object:
        """Send one command and wait for its answer. Raises `InfrastructureError` as `call`."""
        return self.call(self.command(name, arguments), timeout)

    def close(self) -> None:
        """Disconnect and end the thread. Never raises; safe to call twice."""
        if not self._thread.is_alive():
            return
        with contextlib.suppress(InfrastructureError):
            self.call(self._disconnect(), 5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._socket.close()

    async def _disconnect(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()
