"""Changes memory right after it was first read, as the fastest possible other bus master would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfm_harness.boards.gdb_remote import READS, GdbRemote
from tfm_harness.boards.qemu.stops import Stops

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["Race"]


class Race(Stops):
    """While the block runs: after the CPU has read the word, the memory holds other bytes.

    Raises (when the block is entered):
        InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
    """

    def __init__(self, machine: Machine, address: int, data: bytes) -> None:
        super().__init__(machine, "race")
        self._address, self._data = address & ~3, data

    def _set(self, remote: GdbRemote) -> None:
        remote.watch(READS, self._address)

    def _stopped(self, remote: GdbRemote) -> None:
        if remote.stopped_at_word != self._address or self.stops:
            return
        remote.watch_no_more(READS, self._address)
        remote.step()  # any instruction that stops here has read the word after one step
        remote.write_memory(self._address, self._data)
        self.stops += 1

    def _forget(self, remote: GdbRemote) -> None:
        remote.leave(watches=[] if self.stops else [(READS, self._address)])
