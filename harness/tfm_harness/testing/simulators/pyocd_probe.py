"""Common parts of the simulated pyOCD probes: their ids, their one wire protocol, a component's identification.

An environment variable lists the probes: ``ID=WHAT`` entries, separated by ``:``. WHAT describes the simulated part.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

from pyocd.probe.debug_probe import DebugProbe

__all__ = ["SimulatedProbe", "configured", "identification"]


def configured(variable: str) -> dict[str, str]:
    """The entries of an environment variable by probe id."""
    entries = (word.partition("=") for word in os.environ.get(variable, "").split(":") if "=" in word)
    return {uid: what for uid, _, what in entries}


def identification(base: int, component_class: int, part: int, archid: int = 0) -> dict[int, int]:
    """CoreSight component and peripheral identification registers of an Arm part."""
    words = {0xFF0: 0x0D, 0xFF4: component_class << 4, 0xFF8: 0x05, 0xFFC: 0xB1}
    words |= {
        0xFE0: part & 0xFF,
        0xFE4: 0xB0 | part >> 8,
        0xFE8: 0x0B,
        0xFEC: 0,
        0xFD0: 4,
        0xFD4: 0,
        0xFD8: 0,
        0xFDC: 0,
    }
    if component_class == 9:
        words |= {0xFBC: 0x47700000 | archid, 0xFCC: 0, 0xFC8: 0}
    return {base + offset: value for offset, value in words.items()}


class SimulatedProbe(DebugProbe):  # type: ignore[misc]  # pyOCD is not typed
    """A probe without a wire; derived classes say which probes exist, and how their registers behave."""

    def __init__(self, uid: str) -> None:
        super().__init__()
        self._uid = uid
        self._protocol: Any = None

    @classmethod
    def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> Self | None:
        """The probe with exactly that id."""
        probes: list[Self] = cls.get_all_connected_probes(None, is_explicit)
        return next((probe for probe in probes if probe.unique_id == unique_id), None)

    vendor_name = property(lambda _: "tfm-harness simulator")
    description = property(lambda self: f"simulator: {self.product_name}")
    supported_wire_protocols = property(lambda _: [DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD])
    unique_id = property(lambda self: self._uid)
    wire_protocol = property(lambda self: self._protocol)

    def connect(self, protocol: Any = None) -> None:
        """Connect; there is only one wire protocol."""
        del protocol
        self._protocol = DebugProbe.Protocol.SWD

    def disconnect(self) -> None:
        """End the wire protocol."""
        self._protocol = None

    def set_clock(self, frequency: float) -> None:
        """Do nothing: there is no wire."""

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        """Read one register repeatedly."""
        values = [self.read_ap(addr) for _ in range(count)]
        return values if now else lambda: values

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        """Write one register repeatedly."""
        for value in values:
            self.write_ap(addr, value)
