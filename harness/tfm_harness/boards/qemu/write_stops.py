"""Stopping the emulated CPU after its writes to chosen words: the middle of a write, for tests of power cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tfm_harness.boards.gdb_remote import WRITES, XPSR, GdbRemote
from tfm_harness.boards.qemu.stops import MOST_STOPS, Stops

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["WriteStops"]

_EXCEPTION = 0x1FF  # in handler mode code is privileged
_UNPRIVILEGED = 1  # CONTROL.nPRIV
_READ_CONTROL = bytes.fromhex("eff31480")  # MRS r0, CONTROL
_STORE = bytes.fromhex("0160")  # STR r1, [r0]


class WriteStops(Stops):
    """While the block runs, the CPU stops after each write to one of the words, and continues when `on_stop` is done.

    `on_stop` gets the number of the stop, counted from 0. It runs in a thread of its own, while the test waits for the
    device's answer. QEMU's debugger port is opened for the block and closed after it.

    Raises (when the block is entered):
        InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
    """

    def __init__(self, machine: Machine, addresses: Sequence[int], on_stop: Callable[[int], None]) -> None:
        super().__init__(machine, "write-stops")
        self._addresses = tuple(dict.fromkeys(address & ~3 for address in addresses))
        self._on_stop = on_stop

    def read(self, address: int, size: int) -> bytes:
        """See `StoppedCpu`. The stopped code is secure, so that its view includes the secure registers."""
        return self.remote.read_memory(address, size)

    def write(self, address: int, data: bytes) -> None:
        """See `StoppedCpu`."""
        self.remote.write_memory(address, data)

    def store(self, address: int, value: int) -> bool:
        """See `StoppedCpu`."""
        in_handler = self.remote.read_register(XPSR) & _EXCEPTION
        if not in_handler and self.remote.execute(_READ_CONTROL, {})[0] & _UNPRIVILEGED:
            return False
        self.remote.execute(_STORE, {0: address, 1: value})
        return True

    def _set(self, remote: GdbRemote) -> None:
        for address in self._addresses:
            remote.watch(WRITES, address)

    def _stopped(self, remote: GdbRemote) -> None:
        remote.step_watched(WRITES, self._addresses)
        if self.stops < MOST_STOPS:
            self._on_stop(self.stops)
        self.stops += 1

    def _forget(self, remote: GdbRemote) -> None:
        remote.leave(watches=[(WRITES, address) for address in self._addresses])
