"""What the suite's modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tfm_harness import Bench, Checks, Device, StoredObjects, VirtualBoard, storage_flash


@pytest.fixture
def storage(bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks) -> Iterator[StoredObjects]:
    """Protected storage, empty of what this test stored when it ends."""
    if bench.description.firmware != "tfm-harness-reference":
        pytest.skip("not covered: how this firmware stores objects is not known")
    flash = storage_flash(bench, virtual)
    if flash is None:
        pytest.skip("not covered: the memory map names no memory that holds `storage` inside the NV area")
    found = StoredObjects(device, checks, flash)
    yield found
    found.forget()
