"""Common to local and remote serial ports: line settings, control lines, time limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tfm_harness.config.endpoint import LineSettings

if TYPE_CHECKING:
    import serial

__all__ = ["CONNECT_TIMEOUT", "PARITY", "hold_lines"]

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for a server to take a connection."""
PARITY: Final = {"none": "N", "even": "E", "odd": "O"}
"""The configuration's words for parity, each with pyserial's."""


def hold_lines(port: serial.SerialBase, endpoint: LineSettings) -> None:
    """Set or leave DTR and RTS: boards reset on edges of these lines, and pyserial moves both when it opens a port."""
    for line, wanted in (("dtr", endpoint.dtr), ("rts", endpoint.rts)):
        if wanted == "leave":
            setattr(port, f"_update_{line}_state", lambda: None)
        else:
            setattr(port, line, wanted == "on")
