"""What a debug probe may do, against the lifecycle that the device attests."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Checks, Device, Verifier
from tfm_harness.verify import check_debug_port

pytestmark = pytest.mark.needs("debug-port", "memory-map", "psa-token", "trusted-iak")


def test_the_debug_port_is_closed_as_the_lifecycle_says(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier
) -> None:
    """Both registers, and a word of every region of secure memory, read while the core runs."""
    token = verifier.token(*device.attest())
    lifecycle = token.security_lifecycle
    if lifecycle is None:
        pytest.skip("not covered: the token names no lifecycle")
    regions = [region for region in bench.memory_map.owned_by("secure") if "secrets" in region.holds or region.holds]
    nonsecure = bench.memory_map.owned_by("nonsecure")[-1]
    port = bench.board.debug_port([region.at for region in regions], nonsecure.at)
    check_debug_port(port, lifecycle, checks.report)
    device.describe()  # the probe has gone, and the firmware runs on
