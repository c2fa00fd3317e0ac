"""The probe and the record of faults say what happened: without them no verdict about isolation means anything."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Check, Checks, Device, ProductError

pytestmark = pytest.mark.needs("probe", "memory-map")

TYPES = {"SecureFault", "BusFault", "MemManage", "UsageFault", "HardFault", "PPC"}
KEPT = 8
"""Records that the firmware keeps (docs/protocol.md, faults)."""

ACCESS = Check(
    id="isolation.probe-sizes",
    title="the probe reads and writes as many bytes as it is asked, and no others",
    requirement="docs/protocol.md, probe",
)
RECORDS = Check(
    id="isolation.records-kept",
    title="every fault is counted, and the last ones are kept in order, each with its access",
    requirement="PSA Security Model 1.1 s.4.9 (secure events are logged); docs/protocol.md, faults",
)


def test_the_probe_reads_and_writes_as_many_bytes_as_asked(bench: Bench, device: Device, checks: Checks) -> None:
    if bench.memory_map.scratch is None:
        pytest.skip("not covered: the memory map names no non-secure RAM that tests may use")
    test_commands, at = device.test_commands, bench.memory_map.scratch[0]
    content = bytes([0x81, 0x92, 0xA3, 0xB4, 0xC5, 0xD6, 0xE7, 0xF8])
    test_commands.poke(at, content)
    for size in (1, 2, 4):
        for offset in range(0, 8 - size + 1, size):
            wanted = int.from_bytes(content[offset : offset + size], "little")
            checks.equal(
                ACCESS, test_commands.probe(at + offset, size).value, wanted, subject=f"{size} bytes at offset {offset}"
            )
    for size in (1, 2, 4):
        for offset in range(0, 8, size):
            test_commands.poke(at, content)
            test_commands.probe(at + offset, size, write=0x13579BDF)
            wanted_bytes = content[:offset] + (0x13579BDF).to_bytes(4, "little")[:size] + content[offset + size :]
            checks.equal(
                ACCESS, test_commands.peek(at, 8), wanted_bytes, subject=f"{size} bytes written at offset {offset}"
            )


def records_or_skip(bench: Bench) -> None:
    """A device that resets because of a violation keeps no records of it."""
    if bench.probes.resets:
        pytest.skip("not covered: a violation makes this device reset, and it keeps no records of them")


def test_faults_are_counted_and_the_last_ones_kept(bench: Bench, device: Device, checks: Checks) -> None:
    records_or_skip(bench)
    test_commands = device.test_commands
    secure = bench.memory_map.owned_by("secure")
    places = [region.at + 4 * number for number, region in enumerate(secure)] * 2
    code = [region for region in bench.memory_map.owned_by("nonsecure") if region.executable]
    before = test_commands.faults()[0]
    told_at_once = []
    for number, at in enumerate(places, 1):
        outcome = test_commands.probe(at, (4, 2, 1)[number % 3])  # other instructions, so that records differ
        told_at_once.append(outcome.record)
        checks.equal(RECORDS, outcome.faults, before + number, subject=f"faults after {number} accesses")
        record = outcome.record
        if not checks(RECORDS, record is not None, expected="a record", seen="none", where=hex(at)):
            continue
        assert record is not None
        checks(RECORDS, record.type in TYPES, expected=", ".join(sorted(TYPES)), seen=record.type, where=hex(at))
        checks(
            RECORDS, any(region.at <= record.pc < region.end for region in code) or not code,
            expected="an instruction of the non-secure side", seen=hex(record.pc), where=hex(at),
        )  # fmt: skip
        told = (record.cfsr, record.sfsr, record.ppc or 0)
        checks(RECORDS, any(told), expected="a reason in one of the status registers", seen=told, where=hex(at))
    total, last = test_commands.faults()
    checks.equal(RECORDS, (total, len(last)), (before + len(places), min(total, KEPT)), subject="counted, kept")
    for back, (record, at_once) in enumerate(zip(last, reversed(told_at_once), strict=False)):
        checks.equal(RECORDS, record, at_once, subject=f"record {back} from the last")
    test_commands.probe(bench.memory_map.owned_by("nonsecure")[-1].at)
    checks.equal(RECORDS, test_commands.faults()[0], total, subject="an access that is allowed is no fault")


def test_violations_of_peripherals_are_kept_too(bench: Bench, device: Device, checks: Checks) -> None:
    """A protection controller interrupts, and may answer with a bus error as well: that is one violation."""
    records_or_skip(bench)
    found = [one for one in bench.memory_map.peripherals if one.owner == "secure" and one.alias is not None]
    if not found:
        pytest.skip("not covered: the memory map names no peripherals of the secure side")
    for peripheral in found[:6]:
        before = device.test_commands.faults()[0]
        try:
            outcome = device.test_commands.probe(peripheral.at)
        except ProductError as error:
            checks(RECORDS, False, expected="a record", seen=error.message, subject=peripheral.name)
            raise
        checks.equal(RECORDS, outcome.faults, before + 1, subject=f"faults by one access to {peripheral.name}")
