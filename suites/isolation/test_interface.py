"""The services' interface: the caller's pointers are checked as a whole, and only documented requests are answered."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Device,
    MemoryMap,
    ProductError,
    ResetKind,
    ServiceCall,
    ServiceConfig,
    Severity,
    service_of,
)
from tfm_harness.protocol.smp import PsaCall

pytestmark = pytest.mark.needs("psa-call", "probe", "memory-map", "services")

Vectors = list[tuple[int, int]]
TOP = 1 << 32
REFERENCE = "tfm-harness-reference"
PROGRAMMER_ERROR = -129
UID = 0x49534F4C
"""Of the object in protected storage that these tests write."""
IOCTL, IOCTLS = 1013, (1, 2)
"""Message type and requests of the platform service (docs/protocol.md, Services)."""
IOCTL_INFORMATION, IOCTL_FAULTS = IOCTLS
TRACE, TRACE_ALL, TRACE_SIZE = 8, 0xFFFF_FFFF, 32 * 12
"""The inference service's message type of traces, what asks for all operators, and the most bytes that it gives."""
TIMINGS, TIMINGS_SIZE = 7, 88
"""The inference service's message type of timed inferences, and the bytes of what it gives beside the timings."""
TEXTS_AT, TEXT_SIZES = 169, (16, 16, 43)
"""Where the texts of the device information stand, and how long their fields are (device_ioctl.h)."""
FILL = b"\xa5"
MOST_TYPES = 1 << 15
MOST_VECTORS = 4
"""Of one call (PSA_MAX_IOVEC, Firmware Framework 1.0 s.4.3.3)."""
CALLS_AT_A_TIME = 32
UNEXPECTED_RESET = "unexpected-reset"
LENGTHS = (1, 2, 3, 4, 8, 31, 32, 64, 256, 4096)
"""Of vectors, whatever the service asks for: all of them are checked."""
LARGE = 0x80000
"""Bytes offered to a call that must be refused: room for whatever it would give away."""

POINTER_CHECKED = Check(
    id="isolation.pointer-checked",
    title="a service refuses a vector of which the caller may not access every byte itself",
    requirement="PSA Firmware Framework 1.0 s.3.3.2 (memory references are validated)",
)
CALL_WORKS = Check(
    id="isolation.call-works",
    title="the call whose pointers are tested works with the caller's own memory",
    requirement="tfm-harness: a call that always fails proves nothing",
    waivable=False,
)
BAD_CALL = Check(
    id="isolation.bad-call-refused",
    title="a call with a bad handle or too many vectors is refused",
    requirement="PSA Firmware Framework 1.0 s.4.3.3",
)
RESERVED_BITS = Check(
    id="isolation.handle-reserved-bits",
    title="a handle with a reserved bit set names no service (TF-M ignores some of these bits and serves the call)",
    requirement="PSA Firmware Framework 1.0 s.4.3.3",
    dev=Severity.INFO,
    validation=Severity.INFO,
    production=Severity.WARNING,
)
UNDOCUMENTED_TYPE = Check(
    id="isolation.undocumented-type",
    title="a service answers non-secure clients only the message types that are documented for them",
    requirement="PSA Security Model 1.1 s.4.5 (least privilege); PSA Firmware Framework 1.0 s.3.3",
)
NOTHING_LEFT = Check(
    id="isolation.output-clean",
    title="output vectors hold what is declared, and nothing that depends on what was done before",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality); PSA Firmware Framework 1.0 s.4.3.4 (psa_write)",
)


class Caller:
    """Calls services from the non-secure RAM that the firmware does not use."""

    def __init__(self, bench: Bench, device: Device) -> None:
        scratch = bench.memory_map.scratch
        if scratch is None or scratch[1] < 2 * LARGE // 2 + 0x20000:
            pytest.skip("not covered: the memory map names no non-secure RAM that tests may use")
        self.bench = bench
        self.test_commands = device.test_commands
        self.base = scratch[0]
        self.answers = self.base + 0x10000

    def vectors(self, call: ServiceCall) -> tuple[Vectors, Vectors]:
        """The call's vectors in scratch memory, its inputs written there."""
        inputs: Vectors = []
        outputs: Vectors = []
        for number, data in enumerate(call.inputs):
            at = self.base + 0x2000 * number
            self.test_commands.poke(at, data)
            inputs.append((at, len(data)))
        for number, size in enumerate(call.outputs):
            outputs.append((self.answers + 0x10000 * number, size))
        return inputs, outputs

    def statuses(self, calls: Sequence[PsaCall]) -> list[int | None]:
        """The status of each call; None where the device answered it with a reset.

        FF-M lets a programmer error end the caller: the non-secure side of TF-M ends with a reset of the whole device.
        """
        found: list[int | None] = []
        for at in range(0, len(calls), CALLS_AT_A_TIME):
            part = calls[at : at + CALLS_AT_A_TIME]
            try:
                found += self.test_commands.psa_call_many(part)
            except ProductError as error:
                if error.kind != UNEXPECTED_RESET:
                    raise
                self.bench.await_return()
                found += [self._status(call) for call in part]
        return found

    def _status(self, call: PsaCall) -> int | None:
        handle, kind, inputs, outputs = call
        try:
            return self.test_commands.psa_call(handle, kind, inputs, outputs)
        except ProductError as error:
            if error.kind != UNEXPECTED_RESET:
                raise
            self.bench.await_return()
            return None


def outside(memory: MemoryMap, length: int, good: int) -> Iterator[tuple[int, int, str]]:
    """Vectors (address, length, words) of which at least one byte is not the caller's."""
    for region in memory.owned_by("secure"):
        yield region.at, length, f"start of {region.name}"
        yield region.end - length, length, f"end of {region.name}"
    for region in memory.owned_by("nonsecure"):
        for before in {1, length // 2, length - 1} - {0, length}:
            if not memory.is_nonsecure(region.end):
                yield region.end - before, length, f"from {region.name} over its end, {length - before} bytes"
            if region.at and not memory.is_nonsecure(region.at - 1):
                yield region.at - before, length, f"into {region.name} from before it, {before} bytes"
        if not memory.is_nonsecure(region.end):
            yield region.end - length + 1, length, f"from {region.name} over its end by one byte"
    for peripheral in memory.peripherals:
        if peripheral.owner == "secure" and peripheral.role in {"sensor", "protection", "timer"}:
            yield peripheral.at, length, peripheral.name
    for size in LENGTHS:
        yield memory.owned_by("secure")[-1].at, size, f"{size} bytes of the secure side"
    yield TOP - length, length, "end of the address space"
    yield TOP - max(1, length // 2), length, "over the end of the address space"
    yield good, TOP - good + 16, "as long as wraps around to its own memory"
    yield good, TOP - 1, "of the greatest length"
    yield good, 0x8000_0000, "of 2 GiB"


def in_code(bench: Bench, length: int) -> Iterator[tuple[int, int, str]]:
    """Outputs (address, length, words) inside of code that was measured and attested (docs/protocol.md, Services)."""
    if bench.description.firmware == REFERENCE:
        for region in bench.memory_map.owned_by("nonsecure"):
            if region.executable:
                yield region.end - length, length, f"end of {region.name}, where the image is"


@pytest.fixture
def caller(bench: Bench, device: Device) -> Caller:
    """Someone on the non-secure side."""
    return Caller(bench, device)


def test_vectors_that_are_not_the_callers_are_refused(bench: Bench, caller: Caller, checks: Checks) -> None:
    """Calls that work with the caller's own memory, each with one vector moved to memory that is not the caller's."""
    judge_pointers(bench, caller, checks)


@pytest.mark.thorough
def test_vectors_of_every_request_are_checked(bench: Bench, caller: Caller, checks: Checks) -> None:
    """Requests whose content depends on the models, or that change something: vectors of each are checked."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: what further requests of this firmware's services hold is documented elsewhere")
    judge_pointers(bench, caller, checks, further_calls(bench))


def further_calls(bench: Bench) -> dict[str, list[ServiceCall]]:
    """Requests of the reference firmware that the target's file cannot know (docs/protocol.md, Services)."""
    size, model = bench.description.input_bytes, bench.description.model or ""
    given = bench.description.raw["out"]
    assert isinstance(given, int)
    run = struct.pack("<II64s36x", 1, 32, bytes(range(32)))
    chunk = struct.pack("<II32s", 0, 16, bytes(32))
    found = {
        "inference": [
            ServiceCall(type=2, inputs=(bytes(8),), outputs=(12,)),
            ServiceCall(type=3, inputs=(run, bytes(size)), outputs=(3072, 48)),
            ServiceCall(type=6, inputs=(bytes(size),), outputs=(given,)),  # room for one output, and no more
            ServiceCall(type=7, inputs=(struct.pack("<II", 1, 0), bytes(size)), outputs=(4, 88)),
            ServiceCall(type=9, inputs=(run, bytes(size)), outputs=(3072, 48)),
        ],
        "model-store": [
            ServiceCall(type=1004, inputs=(model.encode(),), outputs=(152,)),
            ServiceCall(type=1005, inputs=(chunk, bytes(16)), outputs=(4,)),
        ],
        "protected-storage": [
            ServiceCall(type=1001, inputs=(struct.pack("<Q", UID), bytes(16), bytes(4))),
            ServiceCall(type=1002, inputs=(struct.pack("<Q", UID), bytes(4)), outputs=(16,)),
            ServiceCall(type=1003, inputs=(struct.pack("<Q", UID),), outputs=(12,)),
        ],
    }
    known = {name: service for name, service in bench.services.items() if name in found}
    return {name: [call for call in found[name] if call.type in service.types] for name, service in known.items()}


def judge_pointers(
    bench: Bench, caller: Caller, checks: Checks, calls: Mapping[str, Sequence[ServiceCall]] | None = None
) -> None:
    """Each vector of each call of the map (or of others), and one more than it has."""
    later: list[tuple[str, PsaCall]] = []
    for name, service in bench.services.items():
        for call in service.calls if calls is None else calls.get(name, ()):
            inputs, outputs = caller.vectors(call)
            subject = f"{name} {call.type}"
            status = caller.test_commands.psa_call(service.handle, call.type, inputs, outputs)
            checks(CALL_WORKS, not service.refuses(status), expected="PSA_SUCCESS", seen=status, subject=subject)
            refused: list[tuple[str, PsaCall]] = []
            for number, (good, length) in enumerate(inputs):
                for where, size, words in outside(bench.memory_map, length, good):
                    moved = [*inputs[:number], (where, size), *inputs[number + 1 :]]
                    refused.append(
                        (f"{subject}: input vector {where:#x}, {words}", (service.handle, call.type, moved, outputs))
                    )
            for number, (good, length) in enumerate(outputs):
                for where, size, words in (*outside(bench.memory_map, length, good), *in_code(bench, length)):
                    moved = [*outputs[:number], (where, size), *outputs[number + 1 :]]
                    later.append(
                        (f"{subject}: output vector {where:#x}, {words}", (service.handle, call.type, inputs, moved))
                    )
            refused += one_more(bench, caller, service, call, (inputs, outputs), subject)
            must_be_refused(caller, checks, POINTER_CHECKED, refused)
    # Writing comes last: where it is not refused, nothing of the secure side has been overwritten yet.
    must_be_refused(caller, checks, POINTER_CHECKED, later)


def one_more(
    bench: Bench, caller: Caller, service: ServiceConfig, call: ServiceCall, vectors: tuple[Vectors, Vectors], name: str
) -> Iterator[tuple[str, PsaCall]]:
    """The call with further vectors that the service does not ask for; the last of them is not the caller's."""
    inputs, outputs = vectors
    secure = bench.memory_map.owned_by("secure")[0].at
    spare = caller.base + 0xE000
    for total in range(len(inputs) + len(outputs) + 1, MOST_VECTORS + 1):
        right = [(spare + 0x100 * n, 4) for n in range(total - len(inputs) - len(outputs) - 1)]
        words = f"{name}: vector {total} of {total}, which is not asked for,"
        yield f"{words} an input at {secure:#x}", (service.handle, call.type, [*inputs, *right, (secure, 4)], outputs)
        yield f"{words} an output at {secure:#x}", (service.handle, call.type, inputs, [*outputs, *right, (secure, 4)])


def must_be_refused(caller: Caller, checks: Checks, check: Check, calls: Sequence[tuple[str, PsaCall]]) -> None:
    """The device answers every one of them with an error, or by a reset."""
    exact = check is POINTER_CHECKED and caller.bench.description.firmware == REFERENCE  # by docs/protocol.md, Services
    lax = check is BAD_CALL and caller.bench.description.firmware != REFERENCE  # whose document knows no such bits
    try:
        statuses = caller.statuses([call for _, call in calls])
    except ProductError as error:
        first, last = calls[0][0], calls[-1][0]
        checks(check, False, expected=f"{len(calls)} errors", seen=error.message, subject=f"from {first} to {last}")
        raise
    for (subject, (handle, *_)), status in zip(calls, statuses, strict=True):
        service = service_of(caller.bench.services.values(), handle)
        checks(
            RESERVED_BITS if lax and service is not None and service.handle != handle else check,
            status is None
            or status == PROGRAMMER_ERROR
            or (not exact and (status < 0 or (service is not None and service.refuses(status)))),
            expected=f"PSA_ERROR_PROGRAMMER_ERROR ({PROGRAMMER_ERROR}){'' if exact else ' or another error'}",
            seen=status,
            subject=subject,
        )


def test_bad_handles_and_vector_counts_are_refused(bench: Bench, caller: Caller, checks: Checks) -> None:
    known = {service.handle for service in bench.services.values()}
    near = {handle + step for handle in known for step in range(-8, 9)}
    near |= {0x4000_0000 + n for n in range(0, 0x400, 7)} | {0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, TOP - 1}
    types = sorted({0, 1, *(kind for service in bench.services.values() for kind in service.types)})
    inputs, outputs = [(caller.base, 4)], [(caller.answers, LARGE)]
    calls: list[tuple[str, PsaCall]] = [
        (f"handle {handle:#x}, type {kind}", (handle, kind, inputs, outputs))
        for handle in sorted(near - known)
        for kind in (types[0], types[1], types[-1])
    ]
    for name, service in bench.services.items():
        # The service's own call, by handles that are its own but for one bit or but for some bytes.
        alike = {service.handle ^ (1 << bit) for bit in range(32)}
        alike |= {service.handle & mask for mask in (0xFF, 0xFFFF, 0xFFFFFF)} | {service.handle >> 8, ~service.handle}
        for call in service.calls[:1]:
            own_inputs, own_outputs = caller.vectors(call)
            calls += [
                (f"{name} by handle {handle:#x}", (handle, call.type, own_inputs, own_outputs))
                for handle in sorted({handle & (TOP - 1) for handle in alike} - known)
            ]
        kind = service.calls[0].type if service.calls else service.types[-1]
        calls.append((f"{name}: negative type", (service.handle, -7, inputs, outputs)))
        for some, more in ((5, 0), (0, 5), (3, 2), (4, 1), (7, 7)):
            calls.append(
                (
                    f"{name}: {some} input and {more} output vectors",
                    (
                        service.handle,
                        kind,
                        [(caller.base + 0x100 * n, 4) for n in range(some)],
                        [(caller.answers + 0x1000 * n, 64) for n in range(more)],
                    ),
                )
            )
    must_be_refused(caller, checks, BAD_CALL, calls)


def types_to_try(service: ServiceConfig, allowed: set[int], *, count: int, seed: int) -> list[int]:
    """Message types that are not documented: all small ones, all near the known ones, powers of two, and a sample."""
    known = {*service.types, *service.debug_types}
    near = 40 if count > 100 else 8
    tried = set(range(4 * near)) | {0x7F, 0x80, 0xFF} | {k + step for k in known for step in range(-near, near + 1)}
    tried |= {(1 << bit) + step for bit in range(15) for step in (-1, 0, 1)}
    tried |= set(range(0, MOST_TYPES, 0x100 if count > 100 else 0x800))
    tried |= set(random.Random(seed).sample(range(MOST_TYPES), count))  # noqa: S311 - the same types every time
    return sorted(kind for kind in tried - allowed if 0 <= kind < MOST_TYPES)


@pytest.mark.parametrize("count", [16, pytest.param(500, marks=pytest.mark.thorough(count=16))])
def test_only_documented_message_types_answer(
    bench: Bench, device: Device, caller: Caller, checks: Checks, count: int
) -> None:
    """Vectors have several shapes, so that an undocumented type would find the ones that it wants."""
    judge_types(bench, device, caller, checks, count)


@pytest.mark.thorough
@pytest.mark.needs("provision", "cold-reset")
@pytest.mark.parametrize("lifecycle", [0x1000, 0x2000, 0x4000, 0x5000, 0x6000], ids=hex)
def test_the_interface_is_the_same_in_every_lifecycle(
    bench: Bench, device: Device, checks: Checks, lifecycle: int
) -> None:
    """An attacker who can set a board back to an earlier lifecycle would use any type that is open there."""
    with bench.provisioned(lifecycle):
        caller = Caller(bench, device)
        judge_types(bench, device, caller, checks, 16)
        judge_pointers(bench, caller, checks)
        traces_are_clean(bench, device, caller, checks)


def traces_are_clean(bench: Bench, device: Device, caller: Caller, checks: Checks) -> None:
    """Where inner activations can be read, they are not those of another caller's input."""
    service = bench.services.get("inference")
    debug = (bench.description.lifecycle or 0) & 0xFF00 == 0x1000
    if bench.description.firmware != REFERENCE or service is None or not debug:
        return
    size = bench.description.input_bytes
    caller.test_commands.poke(caller.base, struct.pack("<II", TRACE_ALL, 0))
    seen = []
    for secret in (bytes(size), bytes(n * 151 + 7 & 0xFF for n in range(size))):
        device.infer_input(secret)
        caller.test_commands.poke(caller.answers, FILL * TRACE_SIZE)
        status = caller.test_commands.psa_call(
            service.handle, TRACE, [(caller.base, 8)], [(caller.answers, TRACE_SIZE)]
        )
        checks.equal(CALL_WORKS, status, 0, subject="a trace without an input")
        seen.append(caller.test_commands.peek(caller.answers, TRACE_SIZE))
    checks(
        NOTHING_LEFT, seen[0] == seen[1], expected="one trace", seen="two, after two other inputs",
        subject="a trace without an input",
    )  # fmt: skip


def judge_types(bench: Bench, device: Device, caller: Caller, checks: Checks, count: int) -> None:
    """Message types that no document names, and those that this lifecycle forbids."""
    debug = (bench.description.lifecycle or 0) & 0xFF00 == 0x1000
    size = bench.description.input_bytes
    # All ones, then zeros: as a request it asks for "all", as an index it is out of range, as an offset the beginning.
    device.test_commands.poke(caller.base, b"\xff" * 4 + bytes(60))
    output = [(caller.answers, LARGE)]
    shapes = [
        ("no input", [], output),
        ("4 bytes of input", [(caller.base, 4)], output),
        ("8 bytes and a tensor as input", [(caller.base, 8), (caller.base + 0x2000, size)], output),
    ]
    for number, (name, service) in enumerate(bench.services.items()):
        allowed = {*service.types, *(service.debug_types if debug else ())}
        calls: list[tuple[str, PsaCall]] = [
            (f"{name} type {kind}, {words}", (service.handle, kind, inputs, outputs))
            for kind in types_to_try(service, allowed, count=count, seed=number)
            for words, inputs, outputs in (shapes if kind < 2048 else shapes[1:2])
        ]
        statuses = caller.statuses([call for _, call in calls])
        answered = [
            subject
            for (subject, _), status in zip(calls, statuses, strict=True)
            if status is not None and not service.refuses(status)
        ]
        checks(
            UNDOCUMENTED_TYPE,
            not answered,
            expected=f"{len(calls)} errors",
            seen=f"success: {'; '.join(answered[:8])}",
            subject=name,
        )


def test_only_documented_requests_of_the_platform_answer(bench: Bench, caller: Caller, checks: Checks) -> None:
    """One message type takes the number of a request: one that was left in for debugging would have its own number."""
    service = bench.services.get("platform")
    if bench.description.firmware != REFERENCE or service is None:
        pytest.skip("not covered: the requests of this firmware's platform service are documented elsewhere")
    tried = {*range(0x50), *((1 << bit) + more for bit in range(8, 32) for more in (-1, 0, 1, 2))}
    tried |= {0xFFFFFFFF, 0xDEADBEEF, 0xB105F00D, 0xDB600000}
    tried |= {int.from_bytes(word, "little") for word in (b"DBG!", b"dump")}
    numbers = sorted(tried - set(IOCTLS))
    caller.test_commands.poke(caller.base, b"".join(number.to_bytes(4, "little") for number in numbers))
    calls: list[PsaCall] = [
        (service.handle, IOCTL, [(caller.base + 4 * at, 4)], [(caller.answers, LARGE)]) for at in range(len(numbers))
    ]
    statuses = caller.statuses(calls)
    answered = [n for n, status in zip(numbers, statuses, strict=True) if status is not None and status >= 0]
    seen = f"success: {', '.join(map(hex, answered[:8]))}"
    checks(UNDOCUMENTED_TYPE, not answered, expected=f"{len(numbers)} errors", seen=seen, subject="platform requests")


@pytest.mark.thorough
def test_outputs_do_not_depend_on_what_was_done_before(
    bench: Bench, device: Device, caller: Caller, checks: Checks
) -> None:
    """The same calls after different work, into buffers with different content: uninitialised bytes would differ."""
    wanted = [(name, service, call) for name, service in bench.services.items() for call in service.calls]
    wanted = [(name, service, call) for name, service, call in wanted if call.repeatable]
    if not wanted:
        pytest.skip("not covered: no call is declared as repeatable")
    size = bench.description.input_bytes

    def read(at: int, length: int) -> bytes:
        if bench.missing(["memory-dump"]):
            return device.test_commands.peek(at, (length + 3) // 4 * 4)[:length]
        return bench.board.read_memory(at, length)

    def outputs(pattern: int, work: Callable[[], object]) -> list[bytes]:
        found = []
        for _, service, call in wanted:
            inputs, vectors = caller.vectors(call)
            for at, length in vectors:
                device.test_commands.poke(at, bytes([pattern]) * length)
            work()  # directly before: what it leaves on the secure stack is what the call finds there
            device.test_commands.psa_call(service.handle, call.type, inputs, vectors)
            found.append(b"".join(read(at, length) for at, length in vectors))
        return found

    first = outputs(0xA5, lambda: device.infer_input(bytes(size)))
    other = bytes((n * 151 + 7) & 0xFF for n in range(size))
    # Signing may end by wiping the stack; running a model and sampling do not.
    second = outputs(0x3C, lambda: device.test_commands.latency(1, data=other))
    third = outputs(0x3C, lambda: (device.csr("client"), device.test_commands.sample("step")))
    for (name, _, call), one, two, three in zip(wanted, first, second, third, strict=True):
        differ = [
            at
            for at, (a, b, c) in enumerate(zip(one, two, three, strict=True))
            if not a == b == c and (a, b, c) != (0xA5, 0x3C, 0x3C)
        ]
        checks(
            NOTHING_LEFT,
            not differ,
            expected="the same bytes, and nothing written behind them",
            seen=f"{len(differ)} bytes differ, the first at offset {differ[0] if differ else 0}",
            subject=f"{name} type {call.type}",
        )


@pytest.mark.needs("warm-reset", "reset")
def test_nothing_stands_behind_what_is_declared(bench: Bench, device: Device, caller: Caller, checks: Checks) -> None:
    """Unused records, and the bytes of a structure behind the end of a text, are zeros, and nothing from a stack."""
    service = bench.services.get("platform")
    if bench.description.firmware != REFERENCE or service is None:
        pytest.skip("not covered: the structures of this firmware's platform service are documented elsewhere")
    device.reset(ResetKind.WARM)
    if not bench.missing(["psa-token"]):
        device.attest()  # the stack has held something
    room = 0x200
    for request, first in ((IOCTL_FAULTS, 8), (IOCTL_INFORMATION, TEXTS_AT)):
        caller.test_commands.poke(caller.base, request.to_bytes(4, "little"))
        caller.test_commands.poke(caller.answers, FILL * room)
        status = caller.test_commands.psa_call(service.handle, IOCTL, [(caller.base, 4)], [(caller.answers, room)])
        given = caller.test_commands.peek(caller.answers, room).rstrip(FILL)
        subject = f"platform request {request}"
        if not checks(CALL_WORKS, status == 0 and len(given) > first, expected=0, seen=status, subject=subject):
            continue
        if request == IOCTL_FAULTS:
            checks.equal(NOTHING_LEFT, given[:8], bytes(8), subject=f"{subject}: faults since the reset")
            checks.equal(NOTHING_LEFT, given[8:].strip(b"\0"), b"", subject=f"{subject}: records that are not used")
            continue
        at = first
        for size in TEXT_SIZES:
            behind = given[at : at + size].partition(b"\0")[2]
            checks.equal(NOTHING_LEFT, behind.strip(b"\0"), b"", subject=f"{subject}: behind the text at {at}")
            at += size
    timings_are_clean(bench, caller, checks)


def timings_are_clean(bench: Bench, caller: Caller, checks: Checks) -> None:
    """The record beside timings ends in four bytes that are zero (tfm_inference_defs.h)."""
    service = bench.services.get("inference")
    if service is None or TIMINGS not in service.types:
        return
    caller.test_commands.poke(caller.base, struct.pack("<II", 1, 0))
    caller.test_commands.poke(caller.answers, FILL * TIMINGS_SIZE)
    outputs = [(caller.answers + 0x200, 4), (caller.answers, TIMINGS_SIZE)]
    status = caller.test_commands.psa_call(service.handle, TIMINGS, [(caller.base, 8)], outputs)
    if checks(CALL_WORKS, status == 0, expected=0, seen=status, subject="timings"):
        left = caller.test_commands.peek(caller.answers + TIMINGS_SIZE - 4, 4)
        checks.equal(NOTHING_LEFT, left, bytes(4), subject="timings: the reserved word")
