"""The non-secure side cannot execute secure memory: a branch into it is a violation, as a load is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tfm_harness import Bench, Check, Checks, Device, ProductError, VirtualBoard
from tfm_harness.verify import gateways

pytestmark = pytest.mark.needs("probe", "memory-map", "debugger")

INVEP = 1
"""Of SFSR: the non-secure side entered secure memory elsewhere than at a gateway (DDI 0553, D1.2.229)."""
STEP = 9
"""One of so many places is tried by the quick selection, with and without Thumb state."""

EXECUTION = Check(
    id="isolation.execution",
    title="a branch of the non-secure side into secure memory executes nothing there, and is recorded with its address",
    requirement="Armv8-M Security Extension (SG is the only entry); PSA Security Model 1.1 s.4.5, s.4.9",
)
REACHED = Check(
    id="isolation.branch-tried",
    title="the non-secure side made the branch that must fail",
    requirement="tfm-harness: a branch that was not made proves nothing",
    waivable=False,
)


def entries_of(bench: Bench) -> list[int]:
    """The gateways of the build's secure image."""
    found = []
    for image in bench.combination.build.images:
        data = image.file.read_bytes()
        if data.startswith(b"\x7fELF"):
            found += gateways(data)
    if not found:
        pytest.skip("not covered: the build names no secure ELF image with gateways")
    return found


def targets(bench: Bench, entries: list[int]) -> Iterator[tuple[int, str]]:
    """Where a branch must not go: behind a gateway's first instruction, and both ends of secure memory."""
    for entry in entries[:2]:
        yield entry + 4, "behind a gateway"
        yield entry + 2, "in the middle of a gateway"
    for region in bench.memory_map.owned_by("secure"):
        yield region.at, f"start of {region.name}"
        yield region.end - 4, f"end of {region.name}"


@pytest.mark.parametrize(
    "every", [pytest.param(False, id="some"), pytest.param(True, id="all", marks=pytest.mark.thorough(every=False))]
)
def test_secure_memory_is_not_executed(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks, every: bool
) -> None:
    """Branches into the middle of a gateway, behind it, and to both ends of every secure region."""
    if bench.probes.resets:
        pytest.skip("not covered: a violation makes this device reset, and it keeps no records of them")
    entries = entries_of(bench)
    places = [(at, True, subject) for at, subject in targets(bench, entries)]
    places += [(at, False, f"{subject}, out of Thumb state") for at, _, subject in places]
    for at, thumb, subject in places if every else places[::STEP]:
        before = device.test_commands.faults()[0]
        try:
            branched = virtual.diverted(device.test_commands.faults, entries, at, thumb=thumb)
            total, last = device.test_commands.faults()
        except ProductError as error:
            checks(EXECUTION, False, expected="the device answers", seen=error.message, where=hex(at), subject=subject)
            raise
        checks(REACHED, branched, expected="a branch", seen="none", where=hex(at), subject=subject)
        checks.equal(EXECUTION, total, before + 1, where=hex(at), subject=f"{subject}: faults")
        if total == before or not last:
            continue
        record = last[0]
        checks.equal(EXECUTION, record.pc & ~1, at, where=hex(at), subject=f"{subject}: address of the fault")
        checks(EXECUTION, record.nonsecure, expected="non-secure", seen="secure", subject=f"{subject}: whose fault")
        checks(
            EXECUTION, record.type != "SecureFault" or bool(record.sfsr & INVEP), expected="INVEP",
            seen=f"SFSR {record.sfsr:#x}", where=hex(at), subject=f"{subject}: reason",
        )  # fmt: skip
