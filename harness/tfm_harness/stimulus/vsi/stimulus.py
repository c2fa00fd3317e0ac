"""The stimulus of FVPs: samples through a Virtual Streaming Interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfm_harness.config.sensors import SensorConfig
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.recorded import RecordedStimulus, only_built_in
from tfm_harness.stimulus.vsi.player import VsiFolder

__all__ = ["VsiStimulus"]


class VsiStimulus(RecordedStimulus):
    """Plays into the folder that the model reads (``v_path``).

    Raises:
        ConfigError: kind ``vsi-instance``, ``stimulus-sensor``.
    """

    def __init__(self, folder: Path, sensors: Mapping[str, SensorConfig], *, instance: int = 0) -> None:
        only_built_in(sensors, "the VSI player")
        super().__init__(sensors)
        self.folder = VsiFolder(folder, instance=instance)
        self.rest()

    @property
    def _where(self) -> str:
        return str(self.folder.folder)

    def _served_count(self) -> int:
        return self.folder.served_count()

    def _last_served(self) -> Sample:
        return self.folder.served(1)[0]

    def _serve(self, sample: Sample) -> None:
        self.folder.set(sample)
