"""What the suite's modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tfm_harness import Bench, Checks, Device, ImageTrials


@pytest.fixture
def trial(bench: Bench, device: Device, checks: Checks, tmp_path: Path) -> Iterator[ImageTrials]:
    """Flashes images in place of the build's; the next test finds the build as it was."""
    del device  # ready before anything is changed
    found = ImageTrials(bench, checks, tmp_path)
    yield found
    if found.replaced:
        bench.flash_again()
