"""An emulated board's UART without the harness's console: the bare loops' side."""

from __future__ import annotations

import os
import select
from types import TracebackType
from typing import Self

from tfm_harness.boards.qemu.quick_uart import MuxTransport
from tfm_harness.console.stream import StreamConsole

__all__ = ["BareUart"]


class BareUart:
    """Descriptors of its own of the wire behind a console; it outlives the console's.

    Args:
        console: of an emulated board whose UART is behind QEMU's multiplexer (see `quick_uart`).
        limit: seconds to wait for one byte, or for room for one.
    """

    def __init__(self, console: StreamConsole, limit: float) -> None:
        self._reads = os.dup(console.fileno())
        self._writes = os.dup(console.write_fileno())
        self._limit = limit

    def transport(self) -> MuxTransport:
        """The same wire for a console, with descriptors of its own."""
        return MuxTransport(os.dup(self._reads), os.dup(self._writes))

    def send(self, data: bytes) -> None:
        """Write everything. The data must not hold the multiplexer's escape byte.

        Raises:
            TimeoutError: there is no room within the limit.
        """
        view = memoryview(data)
        while view:
            self._wait(self._writes, select.POLLOUT)
            view = view[os.write(self._writes, view) :]

    def receive(self, most: int) -> bytes:
        """Some bytes, at least one.

        Raises:
            TimeoutError: none come within the limit, or the emulator has ended.
        """
        self._wait(self._reads, select.POLLIN)
        data = os.read(self._reads, most)
        if not data:
            raise TimeoutError("the emulator has ended")
        return data

    def _wait(self, fd: int, events: int) -> None:
        waiter = select.poll()
        waiter.register(fd, events)
        if not waiter.poll(self._limit * 1000):
            raise TimeoutError(f"nothing within {self._limit:g} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._reads)
        os.close(self._writes)
