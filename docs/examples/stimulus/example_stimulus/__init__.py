"""A stimulus back end of its own: it plays sensors by writing their counts into a file, which the firmware reads.

A real one sends them to whatever plays the sensors on the board's I2C bus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from tfm_harness import InfrastructureError, PlayedStimulus, SensorBase, StimulusBackend, StimulusBase


class FileStimulusConfig(StimulusBase):
    """A target's ``stimulus``."""

    kind: Literal["example-file"]
    path: Path = Field(description="the file; an absolute path")

    def resource(self) -> str:
        return f"file {self.path}"


class FileStimulus(PlayedStimulus, StimulusBackend):
    """Knows channels, traces and samples from `PlayedStimulus`; here values only go into the sensors."""

    config_model: ClassVar[type[StimulusBase]] = FileStimulusConfig

    def __init__(self, config: StimulusBase, sensors: Mapping[str, SensorBase]) -> None:
        assert isinstance(config, FileStimulusConfig)
        super().__init__(sensors)
        self._path = config.path
        self.rest()

    def _apply(self, values: Mapping[str, int]) -> None:
        counts = {name: channel.counts({**self._values, **values}[name]) for name, channel in self._channels.items()}
        try:
            self._path.write_text(json.dumps(counts), encoding="utf-8")
        except OSError as error:
            raise InfrastructureError(
                "the sensors cannot be played", kind="example.file", seen=str(error), where=str(self._path)
            ) from error
