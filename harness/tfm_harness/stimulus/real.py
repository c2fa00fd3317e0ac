"""The stimulus that a real board's target names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfm_harness.config.stimulus import Ft4222StimulusConfig, PicoStimulusConfig, StimulusConfig

if TYPE_CHECKING:
    from tfm_harness.config.sensors import SensorConfig
    from tfm_harness.stimulus.ft4222 import Ft4222Stimulus
    from tfm_harness.stimulus.pico.stimulus import PicoStimulus

    RealStimulus = PicoStimulus | Ft4222Stimulus

__all__ = ["make_stimulus"]


def make_stimulus(config: StimulusConfig, sensors: Mapping[str, SensorConfig]) -> RealStimulus:
    """Open it. Raises `InfrastructureError` or `ConfigError` as its class says."""
    match config:
        case PicoStimulusConfig():
            from tfm_harness.stimulus.pico.stimulus import PicoStimulus

            return PicoStimulus(config, sensors)
        case Ft4222StimulusConfig():
            from tfm_harness.stimulus.ft4222 import Ft4222Stimulus

            return Ft4222Stimulus(config, sensors)
