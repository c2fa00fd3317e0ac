"""What a debug probe may do in the lifecycle that the device attests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tfm_harness import Bench, Checks, Device, Verifier
from tfm_harness.verify import check_debug_port, places_to_read

pytestmark = pytest.mark.needs("debug-port", "memory-map", "psa-token", "trusted-iak")


def test_the_debug_port_is_closed_as_the_lifecycle_says(
    bench: Bench, device: Device, checks: Checks, verifier: Verifier
) -> None:
    """Both registers, and words of every region of secure memory, read while the core runs."""
    token = verifier.token(*device.attest())
    lifecycle = token.security_lifecycle
    if lifecycle is None:
        pytest.skip("not covered: the token names no lifecycle")
    addresses, known = places_to_read(
        [(region.at, region.size) for region in bench.memory_map.owned_by("secure") if region.holds],
        bench.loaded_secure,
    )
    nonsecure = bench.memory_map.owned_by("nonsecure")[-1]
    port = replace(bench.board.debug_port(addresses, nonsecure.at), not_zero=known)
    check_debug_port(port, lifecycle, checks.report)
    device.describe()  # the probe has gone, and the firmware runs on
    if not (port.tells or port.disabled):
        pytest.skip("not covered: all that was read of secure memory is zero, and zeros may stand there")
