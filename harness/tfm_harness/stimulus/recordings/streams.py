"""Merges streams with their own times into one trace."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, Literal

from tfm_harness.errors import ConfigError
from tfm_harness.stimulus.columns import MAX_ROWS, Trace

__all__ = ["RULES", "Rule", "Stream", "merge", "resample"]

Rule = Literal["hold", "linear"]
RULES: Final[tuple[Rule, ...]] = ("hold", "linear")
"""How a value between two recorded ones is computed: the last value stays, or a straight line between them."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Channels that were recorded together.

    Attributes:
        name: for errors and for the record.
        seconds: when each row was recorded, rising.
        columns: channel to values, in the units of `Trace`.
        raw: channels in register counts.
    """

    name: str
    seconds: Sequence[float]
    columns: Mapping[str, Sequence[float]]
    raw: frozenset[str] = field(default=frozenset())


def merge(streams: Sequence[Stream], source: str) -> Trace:
    """One trace of streams, with the times of the stream that has the most rows; the others give their last value.

    Only the time that all streams cover counts.

    Raises:
        ConfigError: kind ``trace-invalid``: no samples, a channel twice, times that do not rise, no common time.
    """
    held = [stream for stream in streams if len(stream.seconds)]
    if not held:
        raise _invalid(source, "no samples of a channel that is known")
    seen: set[str] = set()
    for stream in held:
        if twice := seen & stream.columns.keys():
            raise _invalid(source, f"channel {', '.join(sorted(twice))} is recorded twice")
        seen |= stream.columns.keys()
        for index, (before, after) in enumerate(pairwise(stream.seconds)):
            if after <= before:
                raise _invalid(source, f"{stream.name}: time does not rise from sample {index} to {index + 1}")
    leader = max(held, key=lambda stream: len(stream.seconds))
    first = max(stream.seconds[0] for stream in held)
    last = min(stream.seconds[-1] if len(stream.seconds) > 1 else float("inf") for stream in held)
    times = [t for t in leader.seconds if first <= t <= last]
    if not times:
        raise _invalid(source, "the streams have no time in common")
    columns = {
        channel: tuple(_hold(stream.seconds, values, times))
        for stream in held
        for channel, values in stream.columns.items()
    }
    others = [stream.name for stream in held if stream is not leader]
    note = (
        f"{source}, rows at the times of {leader.name}; the last value of {', '.join(others)} held"
        if others
        else source
    )
    raw = frozenset().union(*(stream.raw for stream in held))
    return Trace(columns, raw, tuple(t - times[0] for t in times), note)


def resample(trace: Trace, hz: float, rule: Rule = "hold") -> Trace:
    """Resample a trace at another rate; the new trace's source names the rule.

    Args:
        trace: with times.
        hz: samples a second.
        rule: ``hold``: the last recorded value; ``linear``: on a straight line between two.

    Raises:
        ConfigError: kind ``trace-invalid``: no times, or more rows than a trace may have.
    """
    if not trace.seconds:
        raise _invalid(trace.source, "a trace without times cannot be resampled: its rate is not known")
    length = trace.seconds[-1] - trace.seconds[0]
    if not 0 < hz < float("inf") or length * hz + 1 > MAX_ROWS:
        raise _invalid(trace.source, f"{hz:g} Hz over {length:g} s are more than {MAX_ROWS} samples, or none")
    times = [trace.seconds[0] + index / hz for index in range(int(length * hz + 1e-9) + 1)]
    made = _hold if rule == "hold" else _linear
    columns = {channel: tuple(made(trace.seconds, values, times)) for channel, values in trace.columns.items()}
    words = "the last value held" if rule == "hold" else "values on straight lines"
    seconds = tuple(t - times[0] for t in times)
    return replace(trace, columns=columns, seconds=seconds, source=f"{trace.source}, resampled to {hz:g} Hz ({words})")


def _hold(seconds: Sequence[float], values: Sequence[float], times: Sequence[float]) -> list[float]:
    # Two calculations may give slightly different times for one moment; recordings are no finer than a nanosecond.
    near = max(1e-9, 4 * math.ulp(seconds[-1]))
    return [values[max(0, bisect_right(seconds, t + near) - 1)] for t in times]


def _linear(seconds: Sequence[float], values: Sequence[float], times: Sequence[float]) -> list[float]:
    found = []
    for t in times:
        right = bisect_right(seconds, t)
        if right == 0 or right == len(seconds):
            found.append(values[min(right, len(values) - 1)])
            continue
        left = right - 1
        share = (t - seconds[left]) / (seconds[right] - seconds[left])
        found.append(values[left] + share * (values[right] - values[left]))
    return found


def _invalid(where: str, message: str) -> ConfigError:
    return ConfigError(message, kind="trace-invalid", where=where)
