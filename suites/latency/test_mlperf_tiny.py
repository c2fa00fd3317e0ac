"""Firmware that runs N inferences between two of its timestamps: time by MLPerf Tiny's rules."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Latency

pytestmark = pytest.mark.needs("infer", "timed-run")


def test_the_firmwares_time_fits_into_the_hosts(bench: Bench, latency: Latency) -> None:
    """Two short series: what the firmware says it took cannot be more than the host waited."""
    latency.benchmark(bench.description.model or "", runs=2)


@pytest.mark.thorough
def test_the_median_of_five_runs_by_the_rules(bench: Bench, latency: Latency) -> None:
    """Five inputs, each for ten seconds and ten inferences at least."""
    latency.benchmark(bench.description.model or "")
