"""Stops the emulated CPU where the non-secure side enters the secure side, and where it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from tfm_harness.boards.emulated_cpu import Registers
from tfm_harness.boards.gdb_remote import LR, PC, GdbRemote
from tfm_harness.boards.qemu.stops import MOST_STOPS, Stops

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["CallStops"]

_D0: Final = 26
_FPSCR: Final = 42
"""Numbers of QEMU 7.2 to 10 for M-profile CPUs: r0 to r15, xPSR is 25, d0 to d15 and FPSCR follow (``arm-vfp.xml``)."""


class CallStops(Stops):
    """While the block runs, each call through a gateway is noted: the registers at entry and on return.

    `on_return` gets both. It runs in a thread of its own while the CPU is stopped at the first non-secure instruction
    after the call. A call within a call (from an interrupt) is noted by its own return address.

    Raises (when the block is entered):
        InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
    """

    def __init__(
        self, machine: Machine, gateways: Sequence[int], on_return: Callable[[Registers, Registers], None]
    ) -> None:
        super().__init__(machine, "call-stops")
        self._gateways = frozenset(address & ~1 for address in gateways)
        self._on_return = on_return
        self._inside: dict[int, Registers] = {}

    def _set(self, remote: GdbRemote) -> None:
        for address in self._gateways:
            remote.break_at(address)

    def _stopped(self, remote: GdbRemote) -> None:
        at = remote.read_register(PC)
        if at in self._gateways:
            entered = _registers(remote)
            behind = entered.lr & ~1
            if self.stops < MOST_STOPS and behind not in self._inside:
                remote.break_at(behind)
                self._inside[behind] = entered
        elif at in self._inside:
            remote.break_no_more(at)
            self.stops += 1
            self._on_return(self._inside.pop(at), _registers(remote))
        remote.step_over(at, still=at in self._gateways)

    def _forget(self, remote: GdbRemote) -> None:
        remote.leave(breaks=(*self._gateways, *self._inside))


def _registers(remote: GdbRemote) -> Registers:
    floats: list[int] = []
    for number in range(16):
        wide = remote.read_wide(_D0 + number)
        floats += [int.from_bytes(wide[:4], "little"), int.from_bytes(wide[4:8], "little")]
    return Registers(
        general=tuple(remote.read_register(number) for number in range(13)),
        lr=remote.read_register(LR),
        floats=tuple(floats),
        fpscr=remote.read_register(_FPSCR),
    )
