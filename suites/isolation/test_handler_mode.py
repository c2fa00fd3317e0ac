"""Gateways, called by code that a tester brings along and that runs as an exception handler of the non-secure side."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tfm_harness import Bench, Check, Checks, Device, ServiceCall, Stimulus
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
WATCH = struct.pack(
    "<14H",
    0xE92D, 0x4FF0,  # push {r4 to r11, lr}
    0x4805, 0xE890, 0x1FFE,  # r1 to r12 from where the first word behind the code says
    0x4805, 0x3801, 0xD1FD,  # the second word counts down to zero
    0x4804, 0xE880, 0x1FFE,  # r1 to r12 to where the third word says
    0xE8BD, 0x8FF0,  # pop {r4 to r11, pc}
    0xBF00,
)  # fmt: skip
"""With behind it three words."""
WATCHED = tuple(0x1357_9BD0 * number & 0xFFFF_FFFF for number in range(1, 13))
"""What stands in r1 to r12 meanwhile."""
ROUNDS, PERIOD_MS, SAMPLES, TRIES = 10_000_000, 1, 4, 8
"""Of two instructions each: ten milliseconds or more, eight times at most, until so many samples have come."""
NO_CODE = "not covered: code of a tester does not run in this non-secure RAM"
FORBIDDEN = struct.pack(
    "<32H",
    0xB5F0, 0x490F,  # push {r4 to r7, lr}; r1 is the first word behind the code
    0x2001, 0x2401, 0xE9D1, 0x3440, 0x3401,  # r0 and r4 are 1; ldrd r3, r4, [r1, #256]; r4 is 2
    0x4605, 0x2001, 0x6808, 0x182D, 0x0124,  # r5 is r0; r0 is 1; ldr r0, [r1]; r5 += r0; r4 is 32
    0x2001, 0x2600, 0x2E00, 0xBF06,  # r0 is 1; r6 is 0; if it is 0, then, then, else:
    0x6808, 0x3403, 0x3440,  # ldr r0, [r1]; r4 += 3; r4 += 64
    0x182D, 0x2E00, 0xBF0A,  # r5 += r0; if r6 is 0, then, else, then:
    0xF8D1, 0x0000, 0x3440, 0x3404,  # ldr.w r0, [r1]; r4 += 64; r4 += 4
    0x4803, 0x6004, 0x6045, 0x4903, 0x6081,  # r4, r5 and a mark to where the second word says
    0xBDF0,  # pop {r4 to r7, pc}
)  # fmt: skip
"""Four loads, of 16 and of 32 bits, two of them inside of an IT block; with behind it three words. The second half
of the first one, taken for an instruction, adds 64 to r4."""
FORBIDDEN_LOADS, FORBIDDEN_SUMS = 4, (39, 0)
"""How many there are; what is in r4 and r5 when each was stepped over, with 0 in r0."""
UNPRIVILEGED = struct.pack(
    "<46H",
    0xA008, 0x9906, 0xF041, 0x0101, 0xF8C0, 0x1034, 0x9006, 0x4770,  # the interrupted code goes on at "walk"
    0xF3EF, 0x8114, 0xF021, 0x0101, 0xF381, 0x8814, 0xF3BF, 0x8F6F, 0x4770, 0xBF00,  # SVC: privileged again
    0xE92D, 0x5FFF, 0xF3EF, 0x8400, 0xF3EF, 0x8514, 0xB430,  # walk: push r0 to r12, lr, flags and CONTROL
    0xA60A, 0xF045, 0x0501, 0xF385, 0x8814, 0xF3BF, 0x8F6F,  # CONTROL.nPRIV
    0xCE2F, 0x47A8, 0xDF00,  # r0 to r3 and where to call from behind the code; blx; svc
    0xC621, 0xBC30, 0xF384, 0x8800, 0xE8BD, 0x5FFF,  # what it gave and r5, behind them; pop
    0xF8DF, 0xF004, 0xBF00, 0, 0,  # back to where PendSV came
)  # fmt: skip
"""A call in thread mode without privileges; with behind it r0 to r3, where to call, and two words for what it gave."""
SVC_OF_IT, WORDS_OF_IT = 0x10, 0x5C
MPU_TYPE, MPU_CTRL, MPU_RNR, MPU_RBAR, MPU_RLAR, MPU_MAIR0 = (0xE000_ED90 + n for n in (0, 4, 8, 12, 16, 0x30))
"""Of the non-secure side (DDI 0553, D1.2.148 and behind it)."""
MPU_ON, PRIVILEGED_DEFAULT, REGION_ON, NORMAL = 1, 4, 1, 0x44
PRIVILEGED_ONLY, ANYBODY, READ_ONLY = 0 << 1, 1 << 1, 3 << 1
"""Who may do what in a region: RBAR.AP."""
BLOCK = 0x400
SVC_VECTOR, GET_TOKEN = 11, 1001
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
UNTOUCHED_BY = Check(
    id="isolation.interrupt-registers",
    title="an interrupt of the secure side leaves the non-secure side's registers as they were",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality); TF-M threat model, TFM-GENERIC-S-INTERRUPT-I-1",
)
CALLERS_RIGHTS = Check(
    id="isolation.callers-rights",
    title="a service reads and writes for a caller only what the caller's own memory protection lets it",
    requirement="PSA Firmware Framework 1.0 s.3.3.2; Armv8-M Security Extension (TTA: the caller's MPU and privilege)",
)
STEPPED_OVER = Check(
    id="isolation.stepped-over",
    title="an instruction that makes a forbidden access is stepped over, whatever its length, and reads 0",
    requirement="docs/reference-firmware.md, Isolation; Armv8-M (DDI 0553: lengths of instructions, IT blocks)",
)
VERSIONS = Check(
    id="isolation.versions-true",
    title="the gateways for versions give the framework's, each service's, and none for a service that does not exist",
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
            pytest.skip(NO_CODE)
        return int(given)


@pytest.fixture
def handler(bench: Bench, device: Device) -> Iterator[Handler]:
    """A handler for tests.

    Enabled interrupts keep their handlers; afterwards the old table of vectors is used again.
    """
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
    """A right call of each service.

    A handler may have interrupted another call, and would then use that call's stack.
    """
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


@pytest.mark.needs("free-running", "sensor-model")
def test_interrupts_of_the_secure_side_leave_no_trace(
    bench: Bench, device: Device, handler: Handler, checks: Checks, stimulus: Stimulus
) -> None:
    """While the non-secure side counts, the secure side takes samples by interrupts; registers must not change."""
    commands, code = device.test_commands, handler.code
    places = (code + 0x200, ROUNDS, code + 0x300)
    commands.poke(code, WATCH + struct.pack("<3I", *places))
    commands.poke(places[0], struct.pack("<12I", *WATCHED))
    taken = 0
    for _ in range(TRIES):
        commands.poke(places[2], bytes(48))
        before = commands.sample("free", ms=PERIOD_MS).taken
        try:
            bench.probes.write(ICSR, PEND_SV)
        finally:
            taken += commands.sample("stop").taken - before
            commands.sample("clear")
        seen = struct.unpack("<12I", commands.peek(places[2], 48))
        if not any(seen):
            pytest.skip(NO_CODE)
        for number, (was, value) in enumerate(zip(WATCHED, seen, strict=True), 1):
            checks.equal(UNTOUCHED_BY, hex(value), hex(was), subject=f"r{number} after {taken} interrupts")
        if taken >= SAMPLES:
            return
    pytest.skip(f"not covered: {taken} samples came by themselves while the non-secure side counted {TRIES} times")


@contextmanager
def protected(bench: Bench, regions: Sequence[tuple[int, int, int]]) -> Iterator[None]:
    """The non-secure side's MPU, on, with regions from one address up to another and what may be done there."""
    writes = [(MPU_CTRL, 0), (MPU_MAIR0, NORMAL)]
    for number, (at, end, access) in enumerate(regions):
        writes += [(MPU_RNR, number), (MPU_RBAR, at | access), (MPU_RLAR, (end - 32) | REGION_ON)]
    for register, value in (*writes, (MPU_CTRL, MPU_ON | PRIVILEGED_DEFAULT)):
        bench.probes.write(register, value)
    try:
        yield
    finally:
        bench.probes.write(MPU_CTRL, 0)
        for number in range(len(regions)):
            bench.probes.write(MPU_RNR, number)
            bench.probes.write(MPU_RLAR, 0)


def test_a_callers_own_protection_holds_for_services(
    bench: Bench, device: Device, handler: Handler, checks: Checks
) -> None:
    """A task without privileges must not reach its operating system's memory through a service.

    A service must not write where the operating system forbids all writes.
    """
    service = bench.services.get("attestation")
    if bench.description.firmware != REFERENCE or service is None:
        pytest.skip("not covered: by whose rights the services of this firmware act is not documented")
    if word(bench, MPU_TYPE) >> 8 & 0xFF < 8 or word(bench, MPU_CTRL):
        pytest.skip("not covered: the non-secure side has no memory protection of its own that is free")
    commands, code = device.test_commands, handler.code
    size = commands.attest_size(32)
    mine, systems, fixed, arrays = code + 0x1000, code + 0x1000 + BLOCK, code + 0x1000 + 2 * BLOCK, code + 0x400
    own = bench.memory_map.owned_by("nonsecure")
    ram = next(region for region in own if region.at <= code < region.end)
    regions = [(region.at, region.end, READ_ONLY) for region in own if region.executable and region != ram]
    regions += [(ram.at, systems, ANYBODY), (systems, fixed, PRIVILEGED_ONLY), (fixed, fixed + BLOCK, READ_ONLY)]
    regions += [(fixed + BLOCK, ram.end, ANYBODY)]
    gateway = entry(bench, "tfm_psa_call_veneer")
    commands.poke(code, UNPRIVILEGED)
    commands.poke(code - TABLE_ALIGNMENT + 4 * SVC_VECTOR, (code + SVC_OF_IT | 1).to_bytes(4, "little"))

    def unprivileged(challenge: int, token: int) -> int:
        commands.poke(arrays, struct.pack("<4I", challenge, 32, token, size))
        words = (service.handle, GET_TOKEN | 1 << 16 | 1 << 24, arrays, arrays + 8, gateway, 0, 0)
        commands.poke(code + WORDS_OF_IT, struct.pack("<7I", *words))
        bench.probes.write(ICSR, PEND_SV)
        given, mark = struct.unpack("<iI", commands.peek(code + WORDS_OF_IT + 20, 8))
        if mark != gateway:
            pytest.skip(NO_CODE)
        return int(given)

    def privileged(challenge: int, token: int) -> int:
        return commands.psa_call(service.handle, GET_TOKEN, [(challenge, 32)], [(token, size)])

    cases = {
        "privileged, from the system's": (privileged, systems, mine, True),
        "privileged, from what is fixed": (privileged, fixed, mine, True),
        "privileged, to the system's": (privileged, mine, systems, True),
        "privileged, to what is fixed": (privileged, mine, fixed, False),
        "privileged, to the first byte of what is fixed": (privileged, mine, fixed - size + 1, False),
        "unprivileged, from its own": (unprivileged, mine, mine + 64, True),
        "unprivileged, from what is fixed": (unprivileged, fixed, mine, True),
        "unprivileged, from the system's": (unprivileged, systems, mine, False),
        "unprivileged, from the first byte of the system's": (unprivileged, systems - 31, mine, False),
        "unprivileged, to the system's": (unprivileged, mine, systems, False),
        "unprivileged, to the first byte of the system's": (unprivileged, mine, systems - size + 1, False),
        "unprivileged, to what is fixed": (unprivileged, mine, fixed, False),
    }
    with protected(bench, regions):
        for words, (call, challenge, token, right) in cases.items():
            status = call(challenge, token)
            checks(
                CALLERS_RIGHTS, status == 0 if right else service.refuses(status), subject=words,
                expected="a token" if right else "an error", seen=status,
            )  # fmt: skip


def test_what_is_forbidden_is_stepped_over(bench: Bench, device: Device, handler: Handler, checks: Checks) -> None:
    """Loads of secure memory by instructions of both lengths, and in IT blocks: execution must go on after them."""
    if bench.description.firmware != REFERENCE or bench.probes.resets:
        pytest.skip("not covered: what follows a violation is documented elsewhere, or it is a reset")
    commands, code = device.test_commands, handler.code
    secure = bench.memory_map.owned_by("secure")[0].at
    commands.poke(code, FORBIDDEN + struct.pack("<3I", secure, code + 0x300, MARK))
    commands.poke(code + 0x300, bytes(12))
    before = commands.faults()[0]
    bench.probes.write(ICSR, PEND_SV)
    *sums, mark = struct.unpack("<3I", commands.peek(code + 0x300, 12))
    checks.equal(STEPPED_OVER, hex(mark), hex(MARK), subject="the end of the handler was reached")
    checks.equal(STEPPED_OVER, tuple(sums), FORBIDDEN_SUMS, subject="what was done between the loads")
    checks.equal(STEPPED_OVER, commands.faults()[0] - before, FORBIDDEN_LOADS, subject="faults recorded")


def test_versions_are_those_of_the_services_that_there_are(bench: Bench, handler: Handler, checks: Checks) -> None:
    """Clients ask for versions to find out which services they may call; the gateway's argument is a service's id."""
    seen = handler.call(entry(bench, "tfm_psa_framework_version_veneer"), (0, 0, 0, 0))
    checks(VERSIONS, seen in FRAMEWORK, expected="1.0 or 1.1", seen=seen, subject="the framework's version")
    gateway = entry(bench, "tfm_psa_version_veneer")
    for sid in (0, 1, 0x1F, 0x142, 0x7FFF_FFFF, 0xFFFF_FFFF, *(each.handle for each in bench.services.values())):
        checks.equal(VERSIONS, handler.call(gateway, (sid, 0, 0, 0)), 0, subject=f"no service has the id {sid:#x}")
    if bench.description.firmware == REFERENCE:
        for sid in (sid | 1 << bit for sid in SERVICES for bit in (8, 16, 31) if not sid >> bit & 1):
            if sid not in SERVICES:
                checks.equal(
                    VERSIONS, handler.call(gateway, (sid, 0, 0, 0)), 0, subject=f"no service has the id {sid:#x}"
                )
        for sid, name in SERVICES.items():
            checks.equal(VERSIONS, handler.call(gateway, (sid, 0, 0, 0)), 1, subject=f"the version of {name}")
