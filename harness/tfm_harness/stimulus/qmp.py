"""The back end for QEMU: sensor values are properties of the emulated devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

from tfm_harness.config.sensors import SensorConfig
from tfm_harness.stimulus.player import PlayedStimulus

__all__ = ["QmpStimulus", "sensor_device", "sensor_path"]

_LOWEST: Final = 0
"""QEMU 7.2 refuses negative magnetic fields."""


def sensor_device(name: str) -> str:
    """QEMU's id of a target's sensor: letters, digits, - and _, a letter first."""
    return "sensor-" + re.sub(r"[^A-Za-z0-9_-]", "-", name)


def sensor_path(name: str) -> str:
    """QOM path of a target's sensor."""
    return f"/machine/peripheral/{sensor_device(name)}"


class PropertyBoard(Protocol):
    """The board interface that the back end needs: see `tfm_harness.boards.qemu.board.QemuBoard.set_properties`."""

    def set_properties(self, values: Mapping[tuple[str, str], object]) -> None:
        """Set device properties: (path, property) to value."""


class QmpStimulus(PlayedStimulus):
    """Plays the sensors of an emulated board through its monitor. After a reset the board sets the values again."""

    def __init__(self, board: PropertyBoard, sensors: Mapping[str, SensorConfig]) -> None:
        super().__init__(sensors, lowest=_LOWEST)
        self._board = board

    def _apply(self, values: Mapping[str, int]) -> None:
        properties: dict[tuple[str, str], object] = {}
        for channel, value in values.items():
            played = self._channels[channel]
            properties[sensor_path(played.sensor), played.model.qemu_property(played.key)] = value
        self._board.set_properties(properties)
