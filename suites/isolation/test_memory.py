"""What the non-secure side can reach: its own memory and peripherals, and nothing of the secure side's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from tfm_harness import Access, Bench, Check, Checks, Device, MemoryMap, MemoryRegion, Refused, ResetKind

pytestmark = pytest.mark.needs("probe", "memory-map")

PATTERN = 0x5A5A_5A5A
WRITES = 32
"""Writes into a region at most: a build that lets one through does not survive many."""
RESETS_PER_REGION = 48
"""Reads of a region in a thorough run, where each makes the device reset."""

PROBE_WORKS = Check(
    id="isolation.probe-works",
    title="the probe reads and writes what the non-secure side owns",
    requirement="tfm-harness: a probe that always fails proves nothing",
    waivable=False,
)
SECURE_MEMORY = Check(
    id="isolation.secure-memory",
    title="a non-secure access to secure memory faults",
    requirement="PSA Security Model 1.1 s.4.5 (isolation); PSA Firmware Framework 1.0 s.3.1",
)
BOUNDARY = Check(
    id="isolation.boundary",
    title="non-secure memory ends exactly where the memory map says, for accesses of every size",
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
PERIPHERAL = Check(
    id="isolation.peripheral",
    title="the non-secure side cannot reach a peripheral of the secure side, through either alias",
    requirement="PSA Security Model 1.1 s.4.5 (peripherals of the secure side)",
)
FAULT_RECORDED = Check(
    id="isolation.fault-recorded",
    title="each violation is recorded by the secure side, as the non-secure side's and at its address",
    requirement="PSA Security Model 1.1 s.4.9 (secure events are logged)",
)


def ends(region: MemoryRegion) -> set[int]:
    """First and last word."""
    return {region.at, region.end - 4}


def some(region: MemoryRegion, count: int) -> list[int]:
    """Both ends, and about `count` blocks at even distances, each at its beginning."""
    step = max(region.block, region.size // count // region.block * region.block)
    return sorted(ends(region) | set(range(region.at, region.end, step)))


def every_block(region: MemoryRegion) -> list[int]:
    """The first word of every block, and the region's last word."""
    return sorted(ends(region) | set(range(region.at, region.end, region.block)))


def shown(addresses: Sequence[int]) -> str:
    """The first few of them."""
    return ", ".join(map(hex, addresses[:8])) + (" ..." if len(addresses) > 8 else "")


def judge(checks: Checks, check: Check, addresses: Sequence[int], outcomes: Sequence[Access], subject: str) -> None:
    """Every one of these accesses must have faulted, and the device must have a record of each.

    A device that resets on a violation has shown it by that; what it printed about it, if anything, must be right.
    """
    reached = [address for address, outcome in zip(addresses, outcomes, strict=True) if not outcome.fault]
    checks(
        check,
        not reached,
        expected=f"{len(addresses)} faults",
        seen=f"no fault at {shown(reached)}",
        subject=subject,
    )
    wrong = [
        address
        for address, outcome in zip(addresses, outcomes, strict=True)
        if outcome.fault and not (outcome.by_reset and outcome.record is None) and not tells(outcome, address)
    ]
    checks(
        FAULT_RECORDED,
        not wrong,
        expected="a record of the non-secure side that, where it names an address, names the one accessed",
        seen=f"none for {shown(wrong)}",
        subject=subject,
    )


def tells(outcome: Access, address: int) -> bool:
    """Whether the fault's record is about this access (or about the rest of an access that crosses a boundary)."""
    record = outcome.record
    return (
        record is not None and record.nonsecure and (record.address is None or address <= record.address < address + 4)
    )


def test_the_probe_reads_and_writes_what_is_non_secure(bench: Bench, device: Device, checks: Checks) -> None:
    memory = bench.memory_map
    for region in memory.owned_by("nonsecure"):
        for address, outcome in zip(sorted(ends(region)), bench.probes.read_many(sorted(ends(region))), strict=True):
            checks(PROBE_WORKS, not outcome.fault, expected="no fault", seen="a fault", where=hex(address))
    if memory.scratch is not None:
        address = memory.scratch[0]
        device.test_commands.poke(address, PATTERN.to_bytes(4, "little"))
        checks.equal(PROBE_WORKS, bench.probes.read(address).value, PATTERN, where=hex(address))


@pytest.mark.parametrize(
    "reach",
    [
        pytest.param("some", id="ends"),
        pytest.param("every", id="every-block", marks=pytest.mark.thorough(reach="some")),
    ],
)
def test_secure_memory_cannot_be_read(bench: Bench, device: Device, checks: Checks, reach: str) -> None:
    for region in bench.memory_map.owned_by("secure"):
        addresses = every_block(region) if reach == "every" else some(region, bench.probes.fewer(16))
        if reach == "every" and bench.probes.resets:
            addresses = some(region, RESETS_PER_REGION)
        before, lost = device.test_commands.faults()[0], device.test_commands.stats.lost
        judge(checks, SECURE_MEMORY, addresses, bench.probes.read_many(addresses), f"reading {region.name}")
        if bench.probes.resets:
            continue  # its counter, if it has one, begins anew with each
        counted = device.test_commands.faults()[0] - before
        repeated = device.test_commands.stats.lost - lost  # what a real line lost was asked for, and recorded, again
        checks(
            FAULT_RECORDED,
            len(addresses) <= counted <= len(addresses) + repeated,
            expected=f"{len(addresses)} records",
            seen=counted,
            subject=f"reading {region.name}",
        )


def test_secure_memory_cannot_be_written(bench: Bench, device: Device, checks: Checks) -> None:
    """Runs after the test that reads: where reads are not refused, no write has spoiled the secure side yet."""
    for region in bench.memory_map.owned_by("secure"):
        addresses = some(region, bench.probes.fewer(WRITES))
        outcomes = [bench.probes.write(address, PATTERN) for address in addresses]
        judge(checks, SECURE_MEMORY, addresses, outcomes, f"writing {region.name}")


@pytest.mark.parametrize("size", [1, 2, 4])
def test_both_sides_of_every_boundary(bench: Bench, device: Device, checks: Checks, size: int) -> None:
    """The last bytes on this side, the first on the other, and accesses that cross."""
    memory = bench.memory_map
    for region in memory.memory:
        inside = [region.at, region.end - size]
        for address, outcome in zip(inside, bench.probes.read_many(inside, size), strict=True):
            checks(
                BOUNDARY,
                outcome.fault == (region.owner == "secure"),
                expected="a fault" if region.owner == "secure" else "no fault",
                seen="a fault" if outcome.fault else "no fault",
                where=hex(address),
                subject=f"{size} bytes inside {region.name}",
            )
    outside = list(beyond(memory, size))
    for (address, what), outcome in zip(outside, bench.probes.read_many([a for a, _ in outside], size), strict=True):
        checks(BOUNDARY, outcome.fault, expected="a fault", seen="no fault", where=hex(address), subject=what)


def beyond(memory: MemoryMap, size: int) -> Iterator[tuple[int, str]]:
    """Accesses of `size` bytes of which at least one byte is outside non-secure memory, next to its boundaries."""
    for region in memory.owned_by("nonsecure"):
        for boundary in (region.at, region.end):
            for address in range(max(0, boundary - size), boundary + 1):
                touched = [memory.is_nonsecure(byte) for byte in range(address, address + size)]
                if not all(touched):
                    yield address, f"{size} bytes at the {'start' if boundary == region.at else 'end'} of {region.name}"


def test_addresses_where_nothing_is_fault(bench: Bench, device: Device, checks: Checks) -> None:
    holes = list(bench.memory_map.holes)
    if not holes:
        pytest.skip("not covered: the memory map names no holes")
    judge(checks, SECURE_MEMORY, holes, bench.probes.read_many(holes), "where nothing is")


@pytest.mark.parametrize("count", [48, pytest.param(256, marks=pytest.mark.thorough(count=48))])
def test_the_model_cannot_be_read(bench: Bench, device: Device, checks: Checks, count: int) -> None:
    """No word that can be read where the secure side keeps its copy is a word of the model."""
    active = bench.description.model
    assert active is not None
    model = bench.combination.build.model_file(active).read_bytes()
    words = {model[at : at + 4] for at in range(0, len(model) - 3, 4)} - {bytes(4), b"\xff" * 4}
    places = [region for region in bench.memory_map.owned_by("secure") if "model" in region.holds]
    if not places:
        pytest.skip("not covered: the memory map does not say where models are")
    for region in places:
        found: list[int] = []
        candidates = some(region, bench.probes.fewer(count))
        for block, outcome in zip(candidates, bench.probes.read_many(candidates), strict=True):
            if outcome.fault:
                continue
            within = range(block, min(block + 256, region.end), 4)
            read = [access.value for access in bench.probes.read_many(within) if not access.fault]
            if sum(value is not None and value.to_bytes(4, "little") in words for value in read) >= 16:
                found.append(block)
        checks(
            MODEL_CONFIDENTIAL,
            not found,
            expected="no readable block that holds the model",
            seen=f"the model's words at {shown(found)}",
            subject=region.name,
        )


def check_of(role: str) -> Check:
    """The check that fails where a peripheral of this role can be reached."""
    return SENSOR_EXCLUSIVE if role == "sensor" else PERIPHERAL


def test_peripherals_of_the_secure_side_are_out_of_reach(bench: Bench, device: Device, checks: Checks) -> None:
    """First and last register, at both aliases; the secure alias of a non-secure peripheral is out of reach too."""
    if not bench.memory_map.peripherals:
        pytest.skip("not covered: the memory map names no peripherals")
    for peripheral in bench.memory_map.peripherals:
        aliases = [peripheral.alias] if peripheral.alias is not None else []
        if peripheral.owner == "secure":
            aliases.append(peripheral.at)
        check = check_of(peripheral.role)
        addresses = [at for alias in aliases for at in (alias, alias + peripheral.size - 4)]
        judge(checks, check, addresses, bench.probes.read_many(addresses), f"reading {peripheral.name}")
        if peripheral.owner == "nonsecure" and peripheral.role == "timer":
            outcome = bench.probes.read(peripheral.at)
            checks(PROBE_WORKS, not outcome.fault, expected="no fault", seen="a fault", subject=peripheral.name)


@pytest.mark.thorough
def test_peripherals_of_the_secure_side_cannot_be_written(bench: Bench, device: Device, checks: Checks) -> None:
    if not bench.memory_map.peripherals:
        pytest.skip("not covered: the memory map names no peripherals")
    for peripheral in bench.memory_map.peripherals:
        if peripheral.owner == "secure":
            check = check_of(peripheral.role)
            addresses = [at for at in (peripheral.at, peripheral.alias) if at is not None]
            outcomes = [bench.probes.write(address, 0) for address in addresses]
            judge(checks, check, addresses, outcomes, f"writing {peripheral.name}")


def other_requests(bench: Bench, device: Device) -> None:
    """One request of each kind that the firmware has. Refused requests take other paths through the services."""
    commands, size = device.test_commands, bench.description.input_bytes
    work: dict[str, Callable[[], object]] = {
        "public-keys": lambda: [device.public_key(name) for name in ("iak", "client")],
        "free-running": lambda: [commands.sample(mode, ms=ms) for mode, ms in (("free", 50), ("stop", None))],
        "update": lambda: commands.activate_model(commands.upload_model(bytes(range(1, 200)))),
        "infer": lambda: device.infer_input(bytes(size + 1)),
    }  # fmt: skip
    more = [ask for feature, ask in work.items() if not bench.missing([feature])]
    for ask in (*device.requests().values(), *more):
        with contextlib.suppress(Refused):
            ask()


@pytest.mark.needs("infer", "warm-reset", "reset", "describe")
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["some", "every"]
)
def test_memory_is_out_of_reach_after_whatever_happens(
    bench: Bench, device: Device, checks: Checks, every: bool
) -> None:
    """Protection is set up at a boot. Another kind of reset, another model or a fault must not open anything."""
    events: dict[str, Callable[[], object]] = {
        "a warm reset": lambda: device.reset(ResetKind.WARM),
        "a reset by request": bench.reset_by_request,
        "a result": lambda: device.infer_input(device.any_input()),
    }
    if not bench.missing(["models"]):
        held = device.test_commands.models()
        others = [entry.name for entry in held if entry.status == 0 and not entry.active][:1]
        others += [entry.name for entry in held if entry.active]
        events |= {f"model {name} selected": partial(device.select_model, name) for name in others}
    if not bench.missing(["sensor", "sensor-model"]):
        events["a sample"] = lambda: device.test_commands.sample("step")
    if not bench.missing(["free-running"]):
        events["sampling that runs"] = lambda: device.test_commands.sample("free", ms=1000)
        events["sampling that was stopped"] = lambda: device.test_commands.sample("stop")
    events["other requests, some of them refused"] = partial(other_requests, bench, device)
    places = [(SECURE_MEMORY, address) for region in bench.memory_map.owned_by("secure") for address in ends(region)]
    places += [(check_of(each.role), each.at) for each in bench.memory_map.peripherals if each.owner == "secure"]
    if bench.probes.resets:
        places = places[:: len(places) // RESETS_PER_REGION + 1]
        events = {subject: event for subject, event in events.items() if "reset" not in subject}
    for subject, event in events.items() if every else [*events.items()][:1]:
        event()
        outcomes = bench.probes.read_many([address for _, address in places])
        for check in (SECURE_MEMORY, SENSOR_EXCLUSIVE, PERIPHERAL):
            chosen = [(at, seen) for (one, at), seen in zip(places, outcomes, strict=True) if one is check]
            if chosen:
                judge(checks, check, [at for at, _ in chosen], [seen for _, seen in chosen], f"after {subject}")
