"""Gateways, called by code that a tester brings along and that runs as an exception handler of the non-secure side."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from tfm_harness import Bench, Check, Checks, Device, ServiceCall
from tfm_harness.verify import read_marked_code

pytestmark = pytest.mark.needs("psa-call", "probe", "memory-map", "services")

REFERENCE = "tfm-harness-reference"
NOT_PERMITTED = -133
VTOR, ICSR, PEND_SV, ICTR, ISER = 0xE000_ED08, 0xE000_ED04, 1 << 28, 0xE000_E004, 0xE000_E100
SYST_CSR, SYST_RVR, TICKING, TICKS = 0xE000_E010, 0xE000_E014, 7, 6400
"""Of the non-secure side (DDI 0553, D1.2); 0.2 ms of a CPU at 32 MHz."""
PEND_SV_VECTOR, SYSTICK_VECTOR = 14, 15
TABLE_ALIGNMENT = 0x1000
CODE = struct.pack(
    "<12H",
    0xB510,  # push {r4, lr}
    0x4805, 0x4905, 0x4A06, 0x4B06, 0x4C07,  # ldr r0 to r4 from behind the code
    0x47A0,  # blx r4
    0x4907, 0x6008,  # what it gave: to the first word
    0x4807, 0x6048,  # a mark: to the second
    0xBD10,  # pop {r4, pc}
)  # fmt: skip
"""With behind it r0 to r3, where to call, where to put two words, and the second of them."""
TICK = struct.pack(
    "<12H",
    0x4805,  # ldr r0 from behind the code
    0x4671, 0x0989, 0x2201, 0x4011,  # r1: EXC_RETURN.S, that is whether secure code was interrupted
    0x6802, 0x3201, 0x6002,  # the first word counts
    0x6842, 0x1852, 0x6042,  # the second counts those that interrupted secure code
    0x4770,  # bx lr
)  # fmt: skip
"""With behind it the address of two words."""
RUNS, ENOUGH = 32, 50
"""Inferences of one call, and how many ticks must be due in it."""
MARK = 0x4841_4E44
UNTOUCHED = 0xA5A5_A5A5
FRAMEWORK = (0x0100, 0x0101)
SERVICES = {0x20: "attestation", 0x40: "platform", 0x60: "protected storage", 0x140: "inference", 0x141: "models"}
"""SIDs of the reference firmware; version 1 each."""

REFUSED_THERE = Check(
    id="isolation.handler-mode-refused",
    title="a call that a non-secure exception handler makes is refused, and nothing is written",
    requirement="TFMV-2 (secure services are called from thread mode only); PSA Firmware Framework 1.0 s.3.3",
)
HELD = Check(
    id="isolation.interrupts-held",
    title="exceptions of the non-secure side wait while a service runs",
    requirement="docs/reference-firmware.md; PSA Security Model 1.1 s.4.5",
)
VERSIONS = Check(
    id="isolation.versions-true",
    title="the gateways for versions give the framework's, each service's, and none for a service that there is not",
    requirement="PSA Firmware Framework 1.0 s.4.3.1, s.4.3.2 (psa_framework_version, psa_version)",
)


def entry(bench: Bench, name: str) -> int:
    """The gateway of this name, in the secure image's symbols."""
    for image in bench.combination.build.images:
        data = image.file.read_bytes()
        if data.startswith(b"\x7fELF") and (found := read_marked_code(data).symbols.get(name)):
            return found | 1
    pytest.skip("not covered: the build names no secure ELF image with the symbols of TF-M's gateways")


@dataclass(frozen=True)
class Handler:
    """PendSV of the non-secure side, with a table of vectors and code in memory that tests may use."""

    bench: Bench
    device: Device
    code: int

    def call(self, gateway: int, arguments: Sequence[int]) -> int | None:
        """What a gateway gives to the handler; None where the device was reset in place of an answer."""
        words = struct.pack("<7I", *arguments, gateway, self.code + 0x80, MARK)
        commands = self.device.test_commands
        commands.poke(self.code + len(CODE), words)
        commands.poke(self.code + 0x80, struct.pack("<II", UNTOUCHED, UNTOUCHED))
        if self.bench.probes.write(ICSR, PEND_SV).by_reset:
            return None
        given, mark = struct.unpack("<iI", commands.peek(self.code + 0x80, 8))
        if mark != MARK:
            pytest.skip("not covered: code of a tester does not run in this non-secure RAM")
        return int(given)


@pytest.fixture
def handler(bench: Bench, device: Device) -> Iterator[Handler]:
    """Enabled interrupts keep their handlers; the table of before is put back."""
    scratch = bench.memory_map.scratch
    if scratch is None:
        pytest.skip("not covered: the memory map names no non-secure RAM that tests may use")
    commands = device.test_commands
    table = -(-(scratch[0] + 0x20000) // TABLE_ALIGNMENT) * TABLE_ALIGNMENT
    code = table + TABLE_ALIGNMENT
    of_before = word(bench, VTOR)
    groups = (word(bench, ICTR) & 0xF) + 1
    enabled = commands.peek(ISER, 4 * groups)
    used = [*range(16), *(16 + n for n in range(32 * groups) if enabled[n // 8] >> n % 8 & 1)]
    vectors = {n: int.from_bytes(commands.peek(of_before + 4 * n, 4), "little") for n in used}
    own = {PEND_SV_VECTOR: code | 1, SYSTICK_VECTOR: (code + 0x40) | 1}
    for number, vector in (vectors | own).items():
        commands.poke(table + 4 * number, vector.to_bytes(4, "little"))
    commands.poke(code, CODE)
    commands.poke(code + 0x40, TICK + (code + 0x90).to_bytes(4, "little") + bytes(4))
    commands.poke(code + 0x90, bytes(8))
    bench.probes.write(VTOR, table)
    try:
        yield Handler(bench, device, code)
    finally:
        bench.probes.write(VTOR, of_before)


def word(bench: Bench, address: int) -> int:
    """A register that the non-secure side reads."""
    value = bench.probes.read(address).value
    if value is None:
        pytest.skip(f"not covered: the non-secure side cannot read its own register {address:#x}")
    return value


def packed(call: ServiceCall) -> int:
    """Type and numbers of vectors as the gateway takes them (TF-M's tfm_psa_call_pack.h)."""
    return call.type | len(call.outputs) << 16 | len(call.inputs) << 24


def test_calls_of_an_exception_handler_are_refused(
    bench: Bench, device: Device, handler: Handler, checks: Checks
) -> None:
    """A right call of each service: a handler may have interrupted another call, on whose stack this one would run."""
    gateway, commands = entry(bench, "tfm_psa_call_veneer"), device.test_commands
    arrays = handler.code + 0x100
    for name, service in bench.services.items():
        call = next((each for each in service.calls if each.outputs), None)
        if call is None:
            continue
        inputs = [(handler.code + 0x200 + 0x100 * n, len(data)) for n, data in enumerate(call.inputs)]
        outputs = [(handler.code + 0x1000 + 0x1000 * n, size) for n, size in enumerate(call.outputs)]
        for (at, _), data in zip(inputs, call.inputs, strict=True):
            commands.poke(at, data)
        commands.poke(arrays, b"".join(struct.pack("<II", *vector) for vector in (*inputs, *outputs)))
        for at, _ in outputs:
            commands.poke(at, UNTOUCHED.to_bytes(4, "little"))
        arguments = (service.handle, packed(call), arrays, arrays + 8 * len(inputs))
        status = handler.call(gateway, arguments)
        right = status == NOT_PERMITTED if bench.description.firmware == REFERENCE else (status or -1) < 0
        checks(
            REFUSED_THERE, right, expected=f"PSA_ERROR_NOT_PERMITTED ({NOT_PERMITTED})", seen=status,
            subject=f"{name} {call.type}",
        )  # fmt: skip
        for at, _ in outputs:
            first = commands.peek(at, 4) if status is not None else UNTOUCHED.to_bytes(4, "little")
            checks.equal(
                REFUSED_THERE, first.hex(), UNTOUCHED.to_bytes(4, "little").hex(),
                subject=f"{name} {call.type}: what stood in the output",
            )  # fmt: skip


@pytest.mark.needs("latency")
def test_exceptions_of_the_non_secure_side_wait_while_a_service_runs(
    bench: Bench, device: Device, handler: Handler, checks: Checks
) -> None:
    """A tick that comes in the middle of a service shows by EXC_RETURN on whose stack it left its frame.

    Some come in a gateway's first and last instructions, before they are held and when they are let go.
    """
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: other firmware may let its services be interrupted, and takes care of their stacks")
    of_before = word(bench, SYST_CSR)
    bench.probes.write(SYST_RVR, TICKS)
    bench.probes.write(SYST_CSR, TICKING)
    try:
        timed = device.test_commands.latency(RUNS)
    finally:
        bench.probes.write(SYST_CSR, of_before)
    ticks, inside = struct.unpack("<II", device.test_commands.peek(handler.code + 0x90, 8))
    due = (timed.end - timed.start) // TICKS
    if not ticks or due < ENOUGH:
        pytest.skip(f"not covered: the non-secure side's SysTick ticked {ticks} times, {due} were due in the service")
    checks(
        HELD, inside <= due // 10, expected=f"few of {due} that were due in the service", seen=f"{inside} of {ticks}",
        subject="ticks taken in secure code",
    )  # fmt: skip


def test_versions_are_those_of_the_services_that_there_are(bench: Bench, handler: Handler, checks: Checks) -> None:
    """Clients ask for them to find out what they may call; the gateway's argument is a service's id."""
    seen = handler.call(entry(bench, "tfm_psa_framework_version_veneer"), (0, 0, 0, 0))
    checks(VERSIONS, seen in FRAMEWORK, expected="1.0 or 1.1", seen=seen, subject="the framework's version")
    gateway = entry(bench, "tfm_psa_version_veneer")
    for sid in (0, 1, 0x1F, 0x142, 0x7FFF_FFFF, 0xFFFF_FFFF, *(each.handle for each in bench.services.values())):
        checks.equal(VERSIONS, handler.call(gateway, (sid, 0, 0, 0)), 0, subject=f"no service has the id {sid:#x}")
    if bench.description.firmware == REFERENCE:
        for sid, name in SERVICES.items():
            checks.equal(VERSIONS, handler.call(gateway, (sid, 0, 0, 0)), 1, subject=f"the version of {name}")
