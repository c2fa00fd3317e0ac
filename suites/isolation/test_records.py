"""The probe and the record of faults say what really happened; all verdicts about isolation rest on them."""

from __future__ import annotations

import struct

import pytest
from tfm_harness import Bench, Check, Checks, Device, ProductError
from tfm_harness.protocol.smp import Probe

pytestmark = pytest.mark.needs("probe", "memory-map")

TYPES = {"SecureFault", "BusFault", "MemManage", "UsageFault", "HardFault", "PPC"}
SFARVALID, BFARVALID = 1 << 6, 1 << 15
"""Bits of SFSR and CFSR: the core knows the address (DDI 0553, D1.2.229, D1.2.7)."""
TOKEN_SIZE = 1002
"""Message type of the attestation service: the size of a token, for the length of a challenge."""
REFERENCE = "tfm-harness-reference"
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

TIMED = Check(
    id="isolation.timed-calls",
    title="timed calls are as many as asked, each with its first input further on, until one ends another way",
    requirement="docs/protocol.md, psa-call (tm, mv)",
)
TRUE = Check(
    id="isolation.record-true",
    title="a record of a fault agrees with itself and with the access: its kind, its status, its instruction",
    requirement="PSA Security Model 1.1 s.4.9 (secure events are logged); docs/protocol.md, responsibility record",
)


def judge_record(checks: Checks, outcome: Probe, at: int, *, escalates: bool) -> None:
    """The reason belongs to the record's kind and to no other, and the address is given where it is known.

    `escalates`: this firmware may take any fault as a HardFault (DDI 0553, B3.9: where its own kind is not enabled).
    """
    record = outcome.record
    if record is None:
        return
    reasons = {
        "MemManage": record.cfsr & 0xFF,
        "BusFault": record.cfsr & 0xFF00,
        "UsageFault": record.cfsr & 0xFFFF0000,
        "SecureFault": record.sfsr & ~SFARVALID,
        "PPC": record.ppc or 0,
    }
    found = {kind: bits for kind, bits in reasons.items() if bits}
    allowed = {record.type, "PPC"} if record.type == "BusFault" else {record.type}
    shown = ", ".join(f"{kind} {bits:#x}" for kind, bits in found.items())
    if record.type != "HardFault" or not escalates:
        checks(
            TRUE, record.type in found and set(found) <= allowed, expected=f"a reason for {record.type} alone",
            seen=shown or "none", where=hex(at), subject=f"status of a {record.type}",
        )  # fmt: skip
    valid = {"SecureFault": record.sfsr & SFARVALID, "BusFault": record.cfsr & BFARVALID}.get(record.type, 0)
    checks(
        TRUE, not valid or (record.address is not None and at <= record.address < at + 4), expected=hex(at),
        seen="no address" if record.address is None else hex(record.address), where=hex(at),
        subject=f"address of a {record.type}",
    )  # fmt: skip


def is_access(opcode: int) -> bool:
    """Whether a halfword begins an instruction that loads or stores (DDI 0553, C2.2 and C2.3)."""
    return opcode >> 12 in {0x5, 0x6, 0x7, 0x8, 0x9, 0xC} or opcode >> 8 in {0xE8, 0xE9, 0xF8, 0xF9}


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


@pytest.mark.needs("psa-call", "services")
def test_calls_that_are_timed_move_on(bench: Bench, device: Device, checks: Checks) -> None:
    """Uses challenge lengths in a row, the fifth of which is refused: the number of calls shows how far they moved."""
    service, scratch = bench.services.get("attestation"), bench.memory_map.scratch
    if service is None or scratch is None:
        pytest.skip("not covered: no known attestation service, or no memory for tests")
    test_commands, base = device.test_commands, scratch[0]
    lengths = (32, 48, 64, 32, 7, 32, 32, 32)
    test_commands.poke(base, struct.pack(f"<{len(lengths)}I", *lengths))
    call = (service.handle, TOKEN_SIZE, [(base, 4)], [(base + 0x100, 4)])
    for step in (0, 4, 8, 12):
        asked = [lengths[n * step // 4] for n in range(len(lengths) // max(1, step // 4))]
        wanted = asked.index(7) + 1 if 7 in asked else len(asked)
        status, ticks = test_commands.psa_call_timed(call, len(asked), step=step)
        checks(
            TIMED, len(ticks) == wanted and (status != 0) == (7 in asked) and all(ticks), subject=f"{step} bytes on",
            expected=f"{wanted} calls, and their times", seen=f"{len(ticks)} calls, the last with status {status}",
        )  # fmt: skip


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
    escalates = bench.description.firmware != REFERENCE  # which enables each kind
    told_at_once = []
    accesses: set[int] = set()
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
        judge_record(checks, outcome, at, escalates=escalates)
        accesses.add(record.pc)
    for pc in sorted(accesses):
        opcode = test_commands.probe(pc & ~1, 2).value or 0
        checks(TRUE, is_access(opcode), expected="a load or store", seen=f"{opcode:#06x}", where=hex(pc), subject="pc")
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
        judge_record(checks, outcome, peripheral.at, escalates=bench.description.firmware != REFERENCE)
