"""Stopping the emulated CPU after its writes to chosen words: the middle of a write, for tests of power cuts."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from tfm_harness.boards.gdb_remote import GdbRemote, GdbRemoteError
from tfm_harness.errors import InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["WriteStops"]

_MOST_STOPS: Final = 10_000
"""A firmware that polls one of the words would otherwise be stopped without end."""


class WriteStops:
    """While the block runs, the CPU stops after each write to one of the words, and goes on when `on_stop` is done.

    `on_stop` gets the number of the stop, 0 first, and runs in a thread of its own: the test goes on waiting for its
    answer meanwhile. QEMU's debugger port is opened for the block and closed after it.

    Raises (when the block is entered):
        InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
    """

    def __init__(self, machine: Machine, addresses: Sequence[int], on_stop: Callable[[int], None]) -> None:
        self._machine = machine
        self._addresses = tuple(dict.fromkeys(address & ~3 for address in addresses))
        self._on_stop = on_stop
        self._folder: Path | None = None
        self._remote: GdbRemote | None = None
        self._thread = threading.Thread(target=self._follow, name=f"write-stops-{machine.name}", daemon=True)
        self._ending = threading.Event()
        self._error: Exception | None = None
        self.stops = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="tfm-harness-gdb-"))
        path = self._folder / "port"
        try:
            self._monitor(f"gdbserver unix:{path},server=on,wait=off")
            self._remote = GdbRemote(str(path))
            for address in self._addresses:
                self._remote.watch_writes(address)
            self._remote.go()
        except GdbRemoteError as error:
            self._close()
            raise InfrastructureError(
                "the emulator's debugger port does not work", kind="gdbstub", seen=str(error)
            ) from error
        except BaseException:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._close()
        if self._error is not None and error is None and self._machine.child is not None:
            raise InfrastructureError(
                "the emulated CPU could not be stopped at its writes", kind="gdbstub", seen=str(self._error)
            ) from self._error

    def read(self, address: int, size: int) -> bytes:
        """See `StoppedCpu`. Secure code was stopped: its view includes the secure registers."""
        assert self._remote is not None  # noqa: S101 - inside of the block
        return self._remote.read_memory(address, size)

    def write(self, address: int, data: bytes) -> None:
        """See `StoppedCpu`."""
        assert self._remote is not None  # noqa: S101 - inside of the block
        self._remote.write_memory(address, data)

    def _follow(self) -> None:
        remote = self._remote
        assert remote is not None  # noqa: S101 - set before the thread starts
        try:
            while not self._ending.is_set():
                if not remote.await_stop(0.05):
                    continue
                remote.finish_write(self._addresses)
                if self.stops < _MOST_STOPS:
                    self._on_stop(self.stops)
                self.stops += 1
                remote.go()
        except Exception as problem:  # noqa: BLE001 - carried to the thread that waits
            self._error = problem

    def _close(self) -> None:
        try:
            if self._remote is not None:
                self._remote.leave(self._addresses)
            self._monitor("gdbserver none")
        except InfrastructureError:
            pass  # the emulator is gone; the next request reports it
        finally:
            self._remote = None
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _monitor(self, line: str) -> None:
        self._machine.call(self._machine.command("human-monitor-command", {"command-line": line}))
