"""Follows an I2C controller that moves the two bus lines in software, from its accesses to their register. Pure.

The register is Arm's SBCon serial interface (DUI 0225, "Serial bus interface"): a write to offset 0
releases lines, one to offset 4 pulls them low, a read of offset 0 shows them; bit 0 is SCL, bit 1 is SDA.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SCL", "SDA", "BusListener", "Slot"]

SCL, SDA = 1, 2


@dataclass(frozen=True, slots=True)
class Slot:
    """The ninth clock of a byte, in which one side acknowledges.

    Attributes:
        transfer: number of the transfer, each begun by a START.
        byte: number of the byte in it; 0 is the address.
        by_target: True if the sensor acknowledges, False if the controller does.
        reads: the number of the first read of the lines in this clock, and the number after the last.
        refused: the controller left SDA high. If it is the side that acknowledges, this means "no more bytes".
        value: the byte that the controller sent; 255 for a byte from the target, which is not known.
    """

    transfer: int
    byte: int
    by_target: bool
    reads: tuple[int, int]
    refused: bool = False
    value: int = 0xFF


class BusListener:
    """Follows the lines and notes each acknowledgement and its side.

    Attributes:
        reads: how often the controller read the lines.
        clocks: how often it pulled SCL low.
        slots: the acknowledgements.
        transfers: how many there were.
    """

    def __init__(self) -> None:
        self.reads = self.clocks = 0
        self.slots: list[Slot] = []
        self.transfers = 0
        self._lines = SCL | SDA
        self._inside = False
        self._bits: list[int] = []
        self._byte = 0
        self._to_controller = False
        self._first = 0
        self._risen = False

    @property
    def idle(self) -> bool:
        """Whether the last transfer was ended by a STOP, and the controller holds neither line low."""
        return not self._inside and self._lines == SCL | SDA

    def read(self) -> int:
        """Note that the controller reads the lines. Returns the number of this read, from 0."""
        self.reads += 1
        return self.reads - 1

    def write(self, offset: int, value: int) -> None:
        """Note that the controller releases lines (offset 0) or pulls them low (offset 4)."""
        before = self._lines
        self._lines = before | value & 3 if offset == 0 else before & ~value
        now = self._lines
        self.clocks += bool(before & ~now & SCL)
        if before & now & SCL and (before ^ now) & SDA:
            self._inside = not now & SDA  # SDA falls: START, SDA rises: STOP
            self._bits = []
            self._byte, self._to_controller, self._risen = 0, False, False
            self.transfers += self._inside
        elif not before & SCL and now & SCL:
            self._first, self._risen = self.reads, self._inside
        elif before & SCL and not now & SCL and self._risen:
            self._risen = False
            self._clock(now & SDA != 0)

    def _clock(self, bit: bool) -> None:
        """Process the end of a clock."""
        if len(self._bits) < 8:
            self._bits.append(int(bit))
            return
        if self._byte == 0:
            self._to_controller = bool(self._bits[-1])
        by_target = self._byte == 0 or not self._to_controller
        value = int("".join(map(str, self._bits)), 2)
        self.slots.append(Slot(self.transfers, self._byte, by_target, (self._first, self.reads), bit, value))
        self._byte += 1
        self._bits = []
