"""What the suite's modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tfm_harness import Bench, Checks, Device, ModelUpdates, Verifier


@pytest.fixture
def updates(bench: Bench, device: Device, checks: Checks, verifier: Verifier) -> Iterator[ModelUpdates]:
    """Makes model images and tries them; what was activated, and the counters it raised, is forgotten afterwards."""
    found = ModelUpdates(bench, device, checks, verifier)
    yield found
    if found.changed:
        bench.factory_reset()
