"""What the suite's modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tfm_harness import Bench, Checks, Device, ModelUpdates, Verifier


@pytest.fixture
def updates(bench: Bench, device: Device, checks: Checks, verifier: Verifier) -> Iterator[ModelUpdates]:
    """Puts models on the device that the build does not have; they are forgotten afterwards."""
    found = ModelUpdates(bench, device, checks, verifier)
    yield found
    if found.changed:
        bench.factory_reset()
