"""Intercepts the emulated CPU's accesses to a device's registers: a test sees each one and can change what is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tfm_harness.boards.emulated_cpu import RegisterAccess
from tfm_harness.boards.gdb_remote import ACCESSES, PC, READS, GdbRemote, GdbRemoteError
from tfm_harness.boards.qemu.stops import Stops

if TYPE_CHECKING:
    from tfm_harness.boards.qemu.machine import Machine

__all__ = ["RegisterStops", "transfer"]


class RegisterStops(Stops):
    """While the block runs, the CPU stops at each access to one of the words.

    `on_access` gets the access, in a thread of its own; for a read it returns the value that the CPU shall read.

    Raises (when the block is entered):
        InfrastructureError: kind ``gdbstub``: QEMU opens no debugger port, or does not answer on it.
    """

    def __init__(
        self, machine: Machine, addresses: Sequence[int], on_access: Callable[[RegisterAccess], int], *, writes: bool
    ) -> None:
        super().__init__(machine, "register-stops")
        self._addresses = tuple(dict.fromkeys(address & ~3 for address in addresses))
        self._on_access = on_access
        self._kind = ACCESSES if writes else READS
        self._decoded: dict[int, tuple[bool, int]] = {}

    def _set(self, remote: GdbRemote) -> None:
        for address in self._addresses:
            remote.watch(self._kind, address)

    def _stopped(self, remote: GdbRemote) -> None:
        at = remote.stopped_at_word
        if at not in self._addresses:
            return
        place = remote.read_register(PC)
        if place not in self._decoded:
            self._decoded[place] = transfer(remote.read_memory(place, 4))
        write, register = self._decoded[place]
        value = remote.read_register(register) if write else 0
        remote.step_watched(self._kind, [at])
        self.stops += 1
        if write:
            self._on_access(RegisterAccess(address=at, write=True, value=value))
            return
        value = remote.read_register(register)
        given = self._on_access(RegisterAccess(address=at, write=False, value=value))
        if given != value:
            remote.write_register(register, given)

    def _forget(self, remote: GdbRemote) -> None:
        remote.leave(watches=[(self._kind, address) for address in self._addresses])


def transfer(code: bytes) -> tuple[bool, int]:
    """Whether a Thumb instruction stores a word, or loads one, and which register (DDI 0553, C2.4: LDR, STR).

    Raises:
        GdbRemoteError: it does neither.
    """
    first, second = int.from_bytes(code[:2], "little"), int.from_bytes(code[2:4], "little")
    if first >> 12 == 0b0110:  # STR, LDR (immediate), T1
        return not first & 0x800, first & 7
    if first >> 9 in {0b0101000, 0b0101100}:  # STR, LDR (register), T1
        return first >> 9 == 0b0101000, first & 7
    if first & 0xFFE0 == 0xF8C0 or first & 0xFFE0 == 0xF840:  # STR, LDR (immediate and register), T2 to T4
        return not first & 0x10, second >> 12
    raise GdbRemoteError(f"an access by an instruction that is neither LDR nor STR of a word: {code.hex()}")
