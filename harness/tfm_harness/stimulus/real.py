"""The stimulus that a real board's target names; packages add theirs in the group ``tfm_harness.stimuli``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfm_harness.config.stimulus import Ft4222StimulusConfig, PicoStimulusConfig, StimulusBase
from tfm_harness.errors import HarnessBug
from tfm_harness.extensions import blamed, find, load_class
from tfm_harness.stimulus.base import Stimulus, StimulusBackend

if TYPE_CHECKING:
    from tfm_harness.config.sensors import SensorConfig

__all__ = ["make_stimulus"]


def make_stimulus(config: StimulusBase, sensors: Mapping[str, SensorConfig]) -> Stimulus:
    """Open the stimulus of a real board.

    Raises:
        InfrastructureError, ConfigError: as its class says.
        ExtensionError: the package that adds it cannot be used.
    """
    match config:
        case PicoStimulusConfig():
            from tfm_harness.stimulus.pico.stimulus import PicoStimulus

            return PicoStimulus(config, sensors)
        case Ft4222StimulusConfig():
            from tfm_harness.stimulus.ft4222 import Ft4222Stimulus

            return Ft4222Stimulus(config, sensors)
    extension = find("stimuli", config.kind)
    if extension is None:
        raise HarnessBug(f"no stimulus is called {config.kind!r}", kind="stimulus-class")
    made = load_class(extension, StimulusBackend)
    with blamed(extension):
        backend: Stimulus = made(config, sensors)
    return backend
