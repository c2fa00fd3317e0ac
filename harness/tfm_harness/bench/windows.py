"""Recorded traces as input vectors: the result of a device's front-end for each stretch of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tfm_harness.stimulus.player import PlayedStimulus

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tfm_harness.config.sensors import SensorConfig

__all__ = ["BUNDLED", "trace_windows"]

MOST_SAMPLES = 65_536
"""The most samples that are used of one trace, from its beginning."""

BUNDLED = ("idle.csv", "vibration.csv", "tamper.csv")
"""The traces that are part of the harness."""


class _Rehearsal(PlayedStimulus):
    """Computes the values that the registers would hold; nothing is played."""

    def _apply(self, values: Mapping[str, int]) -> None:
        """No sensor to set."""


def trace_windows(
    traces: Iterable[str], sensors: Mapping[str, SensorConfig], *, step: int = 4
) -> npt.NDArray[np.int32]:
    """Windows of register counts from recorded traces, shape (n, 32, 4 + further channels).

    Args:
        traces: names or paths; a trace shorter than a window gives none.
        sensors: the target's sensors, which determine a value's form in registers.
        step: samples between the beginnings of neighbouring windows.

    Raises:
        ConfigError: a trace is missing or damaged, or has channels that the target's sensors do not have.
    """
    import numpy as np

    from tfm_harness.parity.frontend import CHANNELS, WINDOW, window_records
    from tfm_harness.stimulus.trace import find_trace, load_trace

    windows: list[npt.NDArray[Any]] = []
    for name in traces:
        path = find_trace(name)
        player = _Rehearsal(sensors)
        player.play(path)
        count = min(len(load_trace(path)), MOST_SAMPLES)
        for _ in range(count):
            player.taken()
        raw = window_records(player.expected_samples(count))
        windows += [raw[at : at + WINDOW] for at in range(0, len(raw) - WINDOW + 1, step)]
    channels = windows[0].shape[-1] if windows else CHANNELS
    return np.array(windows, dtype=np.int32).reshape(-1, WINDOW, channels)
