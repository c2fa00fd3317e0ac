"""What the suite's modules share."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Checks, Device, SecretSearch, SecretWork


@pytest.fixture
def work(bench: Bench, device: Device) -> SecretWork:
    """The board, cold."""
    return SecretWork(bench, device)


@pytest.fixture
def search(work: SecretWork, checks: Checks) -> SecretSearch:
    """Looks for secrets where the work may have left them."""
    return SecretSearch(work, checks)
