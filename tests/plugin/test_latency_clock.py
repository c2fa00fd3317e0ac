"""The counter that times inferences: the target declares it, else the build names it."""

from __future__ import annotations

from types import SimpleNamespace

from tfm_harness.config.latency import LatencyConfig
from tfm_harness.config.target import ClockConfig
from tfm_harness.findings import Report
from tfm_harness.latency import Clock, ClockQuality
from tfm_harness.plugin.latency import Latency


def clock_of(declared: ClockConfig | None, build: LatencyConfig) -> Clock:
    target = SimpleNamespace(clock=declared, kind="attach")
    bench = SimpleNamespace(
        combination=SimpleNamespace(target=target, build=SimpleNamespace(latency=build)),
        board=SimpleNamespace(clock_quality=ClockQuality.DECLARED),
        description=SimpleNamespace(clock_hz=1000),
    )
    return Latency(bench, Report()).clock  # type: ignore[arg-type]


def test_without_a_clock_of_the_target_the_build_names_the_counter() -> None:
    clock = clock_of(None, LatencyConfig(counter="cycles", counter_bits=32))
    assert (clock.source, clock.hz, clock.bits) == ("cycles", 1000, 32)
    assert clock_of(None, LatencyConfig()).source == "counter"


def test_the_targets_clock_comes_first() -> None:
    declared = ClockConfig(source="sse-counter", hz=5000, bits=48)
    clock = clock_of(declared, LatencyConfig(counter="cycles", counter_bits=32))
    assert (clock.source, clock.hz, clock.bits) == ("sse-counter", 5000, 48)
