"""What the non-secure side can reach: its own memory, and nothing of the secure side's."""

from __future__ import annotations

import pytest
from tfm_harness.findings import Check
from tfm_harness.plugin.bench import Bench
from tfm_harness.plugin.checks import Checks
from tfm_harness.plugin.device import Device

pytestmark = pytest.mark.needs("probe")

BLOCK = 0x1000
"""Memory is probed once in each 4 KiB, the smallest block that the memory protection controllers tell apart."""

REGIONS = {
    # name: (first address, last address + 1, probes); addresses as docs/protocol.md and the AN547 manual give them
    "mps3-an547": {
        "secure code (ITCM)": (0x1000_0000, 0x1008_0000, 32),
        "secure data (DTCM)": (0x3000_0000, 0x3008_0000, 32),
        "secure SRAM alias": (0x3120_0000, 0x3140_0000, 32),
        "sensor window, model and arena (ISRAM1)": (0x2120_0000, 0x2140_0000, 512),
        "one-time-programmable area": (0x3800_0000, 0x3800_1000, 1),
        "one-time-programmable area, other alias": (0x2800_0000, 0x2800_1000, 1),
        "entropy": (0x3800_1000, 0x3800_2000, 1),
        "entropy, other alias": (0x2800_1000, 0x2800_2000, 1),
        "factory models": (0x3810_0000, 0x3820_0000, 32),
        "factory models, other alias": (0x2810_0000, 0x2820_0000, 64),
        "non-volatile area": (0x7000_0000, 0x7040_0000, 32),
        "non-volatile area, other alias": (0x6000_0000, 0x6040_0000, 128),
        "protection controllers": (0x5008_0000, 0x5008_1000, 1),
    }
}
PERIPHERALS = {
    "mps3-an547": {
        "sensor's I2C controller": 0x4920_6000,
        "sensor's I2C controller, secure alias": 0x5920_6000,
        "secure console (UART1), secure alias": 0x5930_4000,
    }
}
OWN_RAM = {"mps3-an547": 0x2100_0000}
MODEL_MEMORY = {"mps3-an547": (0x2120_0000, 0x2140_0000)}
MOST_WRITES = 32  # for each region

PROBE_WORKS = Check(
    id="isolation.probe-works",
    title="the probe reads what the non-secure side owns",
    requirement="tfm-harness: a probe that always fails proves nothing",
    waivable=False,
)
SECURE_MEMORY = Check(
    id="isolation.secure-memory",
    title="a non-secure access to secure memory faults",
    requirement="PSA Security Model 1.1 s.4.5 (isolation); PSA Firmware Framework 1.0 s.3.1",
)
MODEL_CONFIDENTIAL = Check(
    id="isolation.model-confidential",
    title="the non-secure side cannot read the model",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
SENSOR_EXCLUSIVE = Check(
    id="isolation.sensor-exclusive",
    title="the non-secure side cannot reach the sensor",
    requirement="PSA Security Model 1.1 s.4.5 (peripherals of the secure side)",
)
FAULT_RECORDED = Check(
    id="isolation.fault-recorded",
    title="each violation is recorded by the secure side",
    requirement="PSA Security Model 1.1 s.4.9 (secure events are logged)",
)


def machine(bench: Bench) -> str:
    """The memory map's name; other machines are not covered."""
    name = str(getattr(bench.pair.target, "machine", bench.pair.target.name))
    if name not in REGIONS:
        pytest.skip(f"not covered: no memory map of {name} in this suite")
    return name


def blocks(first: int, end: int, count: int) -> range:
    """Addresses to probe, at even distances, each at a block's beginning."""
    return range(first, end, max(BLOCK, (end - first) // count // BLOCK * BLOCK))


def test_the_probe_reads_and_writes_what_is_non_secure(bench: Bench, device: Device, checks: Checks) -> None:
    address = OWN_RAM[machine(bench)]
    checks(PROBE_WORKS, not device.lab.probe(address).fault, expected="no fault", seen="a fault", where=hex(address))


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_secure_memory_is_out_of_reach(bench: Bench, device: Device, checks: Checks, write: bool) -> None:
    for name, (first, end, count) in REGIONS[machine(bench)].items():
        addresses = list(blocks(first, end, min(count, MOST_WRITES) if write else count))
        before = device.lab.faults()[0]
        if write:
            outcomes = [device.lab.probe(address, write=0x5A5A_5A5A) for address in addresses]
        else:
            outcomes = device.lab.probe_many(addresses)
        reached = [address for address, outcome in zip(addresses, outcomes, strict=True) if not outcome.fault]
        checks(
            SECURE_MEMORY,
            not reached,
            expected=f"{len(addresses)} faults",
            seen=f"no fault at {', '.join(map(hex, reached[:8]))}" + (" ..." if len(reached) > 8 else ""),
            subject=f"{'writing' if write else 'reading'} {name}",
        )
        after = device.lab.faults()[0]
        recorded = after - before
        checks(
            FAULT_RECORDED,
            recorded == len(addresses) - len(reached),
            expected=f"{len(addresses) - len(reached)} records",
            seen=recorded,
            subject=name,
        )


def test_the_model_cannot_be_read(bench: Bench, device: Device, checks: Checks) -> None:
    """Where the secure side keeps its copy, no readable word may be one of the model's."""
    name = machine(bench)
    active = bench.description.model
    assert active is not None
    model = bench.pair.build.models[active].file.read_bytes()
    words = {model[at : at + 4] for at in range(0, len(model) - 3, 4)} - {bytes(4), b"\xff" * 4}
    found: list[int] = []
    candidates = blocks(*MODEL_MEMORY[name], 512)
    for block, outcome in zip(candidates, device.lab.probe_many(candidates), strict=True):
        if outcome.fault:
            continue
        read = [probe.value for probe in device.lab.probe_many(range(block, block + 256, 4)) if not probe.fault]
        if sum(value is not None and value.to_bytes(4, "little") in words for value in read) >= 16:
            found.append(block)
    checks(
        MODEL_CONFIDENTIAL,
        not found,
        expected="no readable block that holds the model",
        seen=f"the model's words at {', '.join(map(hex, found[:8]))}",
    )


def test_the_sensor_belongs_to_the_secure_side(bench: Bench, device: Device, checks: Checks) -> None:
    for name, address in PERIPHERALS[machine(bench)].items():
        outcome = device.lab.probe(address)
        checks(
            SENSOR_EXCLUSIVE,
            outcome.fault,
            expected="a fault, or a record of the peripheral protection controller",
            seen=f"read {outcome.value}",
            where=hex(address),
            subject=name,
        )
