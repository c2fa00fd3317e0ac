"""Makes accesses that may be violations, whatever the device's answer to a violation is.

If the secure side records violations and continues, many accesses are made at once. TF-M panics and resets the board:
then the reset is the answer, and the next access is made when the board has come back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tfm_harness.errors import HarnessError, ProductError
from tfm_harness.protocol.smp.answers import FaultRecord, Probe

if TYPE_CHECKING:
    from tfm_harness.bench.device import Device
    from tfm_harness.boards.base import Board
    from tfm_harness.config.memory_map import MemoryMap
    from tfm_harness.console.base import Mark

__all__ = ["Access", "Prober"]

_RESET_SEEN = "unexpected-reset"
_NO_ANSWER = "smp-timeout"
_FAULT = re.compile(rb"FATAL ERROR: (\w+)")
_ADDRESS = re.compile(rb"(?:BFAR|MMFAR|SFAR): +0x([0-9A-Fa-f]{8})")
_NUMBER = re.compile(rb"\b(PC|CFSR|SFSR): +0x([0-9A-Fa-f]{8})")
_WORLD = re.compile(rb"Exception came from (non-secure|secure)")
_ONE_IN = 16
_MOST_RESETS = 12


@dataclass(frozen=True, slots=True)
class Access:
    """The outcome of one access.

    Attributes:
        fault: whether the access was a violation.
        value: the value that was read; None for a write or a violation.
        record: the secure side's record of the fault, or the text before its reset; None when there is none.
        by_reset: whether the device answered the violation with a reset, which is TF-M's only answer by default.
    """

    fault: bool
    value: int | None = None
    record: FaultRecord | None = None
    by_reset: bool = False


class Probed(Protocol):
    """The part of a bench that accesses need."""

    board: Board

    @property
    def device(self) -> Device:
        """The device."""

    @property
    def memory_map(self) -> MemoryMap:
        """The memory map."""

    def await_return(self) -> None:
        """Wait for a board that has reset because of a violation."""

    def revive(self) -> None:
        """Start a board again that has halted because of a violation."""


class Prober:
    """Lets the non-secure side read and write addresses."""

    def __init__(self, bench: Probed) -> None:
        self._bench = bench
        self._resets: bool | None = None

    @property
    def resets(self) -> bool:
        """Whether a violation resets this device; the first use tries one at the first secure address of the map."""
        if self._resets is None:
            at = self._bench.memory_map.owned_by("secure")[0].at
            self._resets = self._one(at, 4, None).by_reset
        return self._resets

    def fewer(self, count: int) -> int:
        """The number of accesses to try, of `count`: if each causes a reset, it takes a thousand times as long."""
        return min(max(2, count // _ONE_IN), _MOST_RESETS) if self.resets else count

    def read(self, address: int, size: int = 4) -> Access:
        """Read `size` bytes: 1, 2 or 4."""
        return self.read_many([address], size)[0]

    def read_many(self, addresses: Sequence[int], size: int = 4) -> list[Access]:
        """Read at each address.

        Raises:
            ProductError: the device neither answers nor resets, or does not come back.
        """
        if self.resets:
            return [self._one(address, size, None) for address in addresses]
        return [_answered(probe) for probe in self._bench.device.test_commands.probe_many(addresses, size)]

    def read_of_secure(self) -> tuple[int, list[int]]:
        """Read both ends of each secure region, and each secure peripheral.

        Returns the number of reads, and the addresses at which there was no fault.

        Raises:
            ProductError: as `read_many`.
        """
        memory = self._bench.memory_map
        places = [at for region in memory.owned_by("secure") for at in (region.at, region.end - 4)]
        places += [each.at for each in memory.peripherals if each.owner == "secure"]
        return len(places), [at for at, seen in zip(places, self.read_many(places), strict=True) if not seen.fault]

    def write(self, address: int, value: int) -> Access:
        """Write a word."""
        if self.resets:
            return self._one(address, 4, value)
        return _answered(self._bench.device.test_commands.probe(address, write=value))

    def _one(self, address: int, size: int, value: int | None) -> Access:
        bench = self._bench
        marks = {name: console.mark() for name, console in bench.board.consoles.items()}
        try:
            return _answered(bench.device.test_commands.probe(address, size, write=value))
        except ProductError as error:
            if error.kind not in {_RESET_SEEN, _NO_ANSWER}:
                raise
            unanswered = error
        try:
            bench.await_return()
        except HarnessError:
            text = self._text(marks)
            if not _FAULT.search(text):
                raise
            bench.revive()  # it printed the fault and halted
        # If the board cannot report resets, only the text that it prints at its start shows one.
        text = self._text(marks)
        if unanswered.kind == _NO_ANSWER and not text.strip():
            raise unanswered
        return Access(fault=True, record=_printed(text), by_reset=True)

    def _text(self, marks: dict[str, Mark]) -> bytes:
        consoles = self._bench.board.consoles
        return b"".join(consoles[name].read_from(mark) for name, mark in marks.items() if name in consoles)


def _answered(probe: Probe) -> Access:
    return Access(fault=probe.fault, value=probe.value, record=probe.record)


def _printed(text: bytes) -> FaultRecord | None:
    """The fault record in TF-M's text of an exception (printed if built with TFM_EXCEPTION_INFO_DUMP)."""
    text = text.replace(b"\0", b"")
    kind = _FAULT.search(text)
    if kind is None:
        return None
    numbers = {name: int(value, 16) for name, value in _NUMBER.findall(text)}
    address = _ADDRESS.search(text)
    world = _WORLD.search(text)
    return FaultRecord(
        type=kind[1].decode("ascii", "backslashreplace"),
        pc=numbers.get(b"PC", 0),
        nonsecure=world is not None and world[1] == b"non-secure",
        cfsr=numbers.get(b"CFSR", 0),
        sfsr=numbers.get(b"SFSR", 0),
        address=int(address[1], 16) if address else None,
        ppc=None,
    )
