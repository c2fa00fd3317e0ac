"""Stops the emulated CPU at chosen places while a test talks to the firmware, and shows its state."""

from __future__ import annotations

import abc
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from tfm_harness.boards.gdb_remote import GdbRemote
from tfm_harness.boards.qemu.gdb_port import GdbPort, reported
from tfm_harness.errors import InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["MOST_STOPS", "Stops"]

MOST_STOPS: Final = 10_000
"""Most stops in one block. Without a limit, firmware that polls one of the places would be stopped for ever."""

_LINGERS: Final = 0.05  # seconds; a stop that comes so soon behind the end of the block is still seen


class Stops(abc.ABC):
    """For the block, opens QEMU's debugger port, sets the places, and follows the CPU in a thread of its own.

    Raises (when the block is entered):
        InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
    """

    def __init__(self, machine: Machine, what: str) -> None:
        self._machine = machine
        self._what = what
        self._port = GdbPort(machine)
        self._remote: GdbRemote | None = None
        self._thread = threading.Thread(target=self._follow, name=f"{what}-{machine.name}", daemon=True)
        self._ending = threading.Event()
        self._error: Exception | None = None
        self.stops = 0

    @property
    def remote(self) -> GdbRemote:
        """The debugger port. Only inside the block."""
        assert self._remote is not None  # noqa: S101 - inside of the block
        return self._remote

    @abc.abstractmethod
    def _set(self, remote: GdbRemote) -> None:
        """Set the places. The CPU is stopped."""

    @abc.abstractmethod
    def _stopped(self, remote: GdbRemote) -> None:
        """Handle a stop at one of the places; the CPU continues afterwards."""

    @abc.abstractmethod
    def _forget(self, remote: GdbRemote) -> None:
        """Remove the places and disconnect. Never raises."""

    def __enter__(self) -> Self:
        with self._machine.worked:
            return self._enter()

    def _enter(self) -> Self:
        try:
            self._remote = self._port.open()
            with reported():
                self._set(self._remote)
                self._remote.go()
        except BaseException:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        with self._machine.worked:
            self._thread.join()
            self._close()
        if self._error is not None and error is None and self._machine.child is not None:
            raise InfrastructureError(
                f"the emulated CPU could not be followed ({self._what})", kind="gdbstub", seen=str(self._error)
            ) from self._error

    def _follow(self) -> None:
        remote = self.remote
        try:
            while not self._ending.is_set():
                if not remote.await_stop(_LINGERS):
                    continue
                self._stopped(remote)
                remote.go()
        except Exception as problem:  # noqa: BLE001 - carried to the thread that waits
            self._error = problem

    def _close(self) -> None:
        remote, self._remote = self._remote, None
        try:
            if remote is not None:
                self._forget(remote)
        finally:
            self._port.close()
