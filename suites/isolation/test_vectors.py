"""Vectors, their arrays and their lengths, as a caller past the client library can choose them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Device,
    MemoryMap,
    ProductError,
    ServiceCall,
    ServiceConfig,
    Stimulus,
    StoppedCpu,
    VirtualBoard,
)
from tfm_harness.protocol.smp import run_request

pytestmark = pytest.mark.needs("psa-call", "probe", "memory-map", "services")

INVALID_ARGUMENT, BUFFER_TOO_SMALL, PROGRAMMER_ERROR = -135, -138, -129
REFERENCE = "tfm-harness-reference"
NOT_OURS = "not covered: the requests of this firmware's services are not known"
TOP = 1 << 32
KnownCall = tuple[str, int, list[bytes], list[int | None]]
"""Service, message type, inputs, and the bytes that each output gets (None: some)."""
FEW = ("the token of 32 bytes", "a public key", "two timings")
"""Calls of the quick selection."""
FAULTS_SIZE = 8 + 8 * 32
"""Of the recorded faults that a device tells (device_ioctl.h)."""
CHALLENGES = (32, 48, 64)
SAMPLE, STATE_SIZE = 2, 12
STEP, CLEAR = struct.pack("<II", 0, 0), struct.pack("<II", 3, 0)
"""Message type, answer and requests of a sample (tfm_inference_defs.h)."""
LARGEST_RESULT = 3072
MARK = bytes([0xA5]) * 64
"""What stands in an output before a call that must be refused."""

ARRAY = Check(
    id="isolation.vector-array-checked",
    title="the arrays that hold the vectors must be the caller's own, aligned and whole",
    requirement="PSA Firmware Framework 1.0 s.3.3.2, s.4.3.3 (memory references are validated)",
)
OVERLAP = Check(
    id="isolation.overlap-refused",
    title="an output that overlaps an input, another output or the caller's array of vectors is refused",
    requirement="docs/protocol.md, Services; PSA Firmware Framework 1.0 s.3.3.2",
)
OWN_TAKEN = Check(
    id="isolation.own-memory-taken",
    title="vectors may lie anywhere in the caller's own memory: up to its last byte, and inputs in its code",
    requirement="PSA Firmware Framework 1.0 s.3.3.2; docs/protocol.md, Services",
)
READ_ONCE = Check(
    id="isolation.vectors-read-once",
    title="a service uses a vector as it was checked: a change after the check has no effect",
    requirement="PSA Firmware Framework 1.0 s.3.3.2; CWE-367",
)
LENGTHS = Check(
    id="isolation.output-length",
    title="after a call each output vector's length is what was written, and zero after a refusal",
    requirement="PSA Firmware Framework 1.0 s.4.3.3 (psa_call: out_vec[].len)",
)
WORKS = Check(
    id="isolation.call-works",
    title="the call whose pointers are tested works with the caller's own memory",
    requirement="tfm-harness: a call that always fails proves nothing",
    waivable=False,
)
SENSELESS = Check(
    id="isolation.senseless-request-refused",
    title="a service refuses requests of a wrong length or value, and outputs without room, by name",
    requirement="PSA Firmware Framework 1.0 s.4.3 (services validate their vectors); docs/protocol.md, Services",
)


class Arrays:
    """A caller that keeps its arrays of vectors in the non-secure RAM for tests."""

    def __init__(self, bench: Bench, device: Device) -> None:
        scratch = bench.memory_map.scratch
        if scratch is None:
            pytest.skip("not covered: the memory map names no non-secure RAM that tests may use")
        self.memory, self.test_commands = bench.memory_map, device.test_commands
        self.in_array, self.out_array = scratch[0], scratch[0] + 0x100
        self.data, self.answers = scratch[0] + 0x1000, scratch[0] + 0x10000

    def put(self, data: Sequence[bytes], rooms: Sequence[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Vectors for these inputs, which are put in place, and for outputs of these sizes."""
        inputs = []
        for number, content in enumerate(data):
            self.test_commands.poke(self.data + 0x2000 * number, content if any(content) else content[:64])
            inputs.append((self.data + 0x2000 * number, len(content)))
        return inputs, [(self.answers + 0x4000 * number, size) for number, size in enumerate(rooms)]

    def write(self, at: int, vectors: list[tuple[int, int]]) -> None:
        """Put an array of vectors."""
        self.test_commands.poke(at, b"".join(struct.pack("<II", *vector) for vector in vectors))

    def lengths(self, count: int) -> list[int]:
        """What stands in the array of output vectors."""
        data = self.test_commands.peek(self.out_array, 8 * count) if count else b""
        return [int.from_bytes(data[8 * n + 4 : 8 * n + 8], "little") for n in range(count)]


@pytest.fixture
def arrays(bench: Bench, device: Device) -> Arrays:
    """Someone on the non-secure side."""
    return Arrays(bench, device)


def first_calls(bench: Bench) -> Iterator[tuple[str, ServiceConfig, ServiceCall]]:
    """One call of each service, one with inputs and outputs where there is such a call."""
    for name, service in bench.services.items():
        calls = sorted(service.calls, key=lambda call: (bool(call.inputs), bool(call.outputs)))
        if calls:
            yield name, service, calls[-1]


def not_the_callers(memory: MemoryMap, size: int) -> Iterator[tuple[int, str]]:
    """Where an array of `size` bytes is not the caller's, at least in part."""
    for region in memory.owned_by("secure"):
        yield region.at, f"start of {region.name}"
        yield region.end - size, f"end of {region.name}"
    for region in memory.owned_by("nonsecure"):
        if not memory.is_nonsecure(region.end):
            yield region.end - size + 4, f"over the end of {region.name}"
            yield region.end - 4, f"all but a word behind the end of {region.name}"
        if region.at and not memory.is_nonsecure(region.at - 1):
            yield region.at - 4, f"from before {region.name}"
    yield TOP - size, "end of the address space"
    yield TOP - 4, "over the end of the address space"
    yield 0, "no array"


def test_vectors_at_the_ends_of_the_callers_memory_are_taken(
    bench: Bench, device: Device, arrays: Arrays, checks: Checks
) -> None:
    """From the first byte to the last byte of each region; a challenge may be any bytes, such as code.

    Outputs are tried only at the end of the RAM: the reference firmware keeps nothing there, and must not write
    into the image.
    """
    service = bench.services.get("attestation")
    call = next((each for each in service.calls if len(each.inputs) == 1 and each.outputs), None) if service else None
    if service is None or call is None or len(call.inputs[0]) not in CHALLENGES:
        pytest.skip("not covered: no call of an attestation service whose input may be any bytes")
    commands = device.test_commands
    ([(good, size)], [output]) = arrays.put(call.inputs, call.outputs)
    for region in bench.memory_map.owned_by("nonsecure"):
        for words, at in {"first": region.at, "last": region.end - size}.items():
            status = commands.psa_call(service.handle, call.type, [(at, size)], [output])
            checks.equal(OWN_TAKEN, status, 0, subject=f"the {words} {size} bytes of {region.name} as input")
        if bench.description.firmware == REFERENCE and not region.executable:
            at = region.end - output[1]
            status = commands.psa_call(service.handle, call.type, [(good, size)], [(at, output[1])])
            subject = f"the last {output[1]} bytes of {region.name} as output"
            checks.equal(OWN_TAKEN, status, 0, subject=subject)


def test_arrays_of_vectors_are_checked(bench: Bench, arrays: Arrays, checks: Checks) -> None:
    """Arrays of vectors in secure memory: a service would read them there, and write lengths into them."""
    test_commands = arrays.test_commands
    for name, service, call in first_calls(bench):
        inputs, outputs = arrays.put(call.inputs, call.outputs)
        for at, vectors in ((arrays.in_array, inputs), (arrays.out_array, outputs)):
            arrays.write(at, vectors)

        def status(in_array: int, out_array: int) -> int:
            return test_commands.psa_call_at(
                service.handle, call.type, inputs, outputs, in_array=in_array, out_array=out_array  # noqa: B023
            )  # fmt: skip

        seen = status(arrays.in_array, arrays.out_array)
        checks(
            WORKS, not service.refuses(seen), expected="PSA_SUCCESS", seen=seen, subject=f"{name}: arrays of its own"
        )
        for kind, vectors in (("input", inputs), ("output", outputs)):
            if not vectors:
                continue
            own = arrays.in_array if kind == "input" else arrays.out_array
            places = [
                *not_the_callers(arrays.memory, 8 * len(vectors)),
                *((own + n, f"{n} bytes off") for n in (1, 2, 3)),
            ]
            for at, words in places:
                if own < at < own + 4:
                    arrays.write(at, vectors)  # right but for their place
                try:
                    seen = status(at, arrays.out_array) if kind == "input" else status(arrays.in_array, at)
                except ProductError as error:
                    checks(
                        ARRAY,
                        False,
                        expected="an error",
                        seen=error.message,
                        subject=f"{name}: {kind} at {at:#x}, {words}",
                    )
                    raise
                checks(
                    ARRAY, service.refuses(seen), expected="an error", seen=seen,
                    subject=f"{name}: array of {kind} vectors at {at:#x}, {words}",
                )  # fmt: skip
        for at, vectors in ((arrays.in_array, inputs), (arrays.out_array, outputs)):
            arrays.write(at, vectors)  # a refusal may have left lengths of zero there
        seen = status(arrays.in_array, arrays.out_array)
        checks(WORKS, not service.refuses(seen), expected="PSA_SUCCESS", seen=seen, subject=f"{name}: after all of it")


def test_outputs_stand_alone(bench: Bench, arrays: Arrays, checks: Checks) -> None:
    """An output over an input changes what is read after the check.

    An output over the array of vectors changes where the service writes next.
    """
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: what this firmware says of overlapping vectors is not known")
    for name, service, call in first_calls(bench):
        inputs, outputs = arrays.put(call.inputs, call.outputs)
        if not outputs:
            continue
        size = outputs[0][1]
        places = {
            "over its own vector": arrays.out_array,
            "over the last byte of its own vector": arrays.out_array + 8 * len(outputs) - 1,
            "into its own vector from before it": arrays.out_array - size + 1,
        }
        for number, (at, length) in enumerate(inputs):
            places |= {
                f"over input {number}": at,
                f"over the last byte of input {number}": at + length - 1,
                f"into input {number} from before it": at - size + 1,
            }
        arrays.write(arrays.in_array, inputs)
        vectors = {words: (at, size) for words, at in places.items()}
        vectors |= {f"of one byte {words}": (at, 1) for words, at in places.items() if "before" not in words}
        for words, vector in vectors.items():
            moved = [vector, *outputs[1:]]
            arrays.write(arrays.out_array, moved)
            seen = arrays.test_commands.psa_call_at(
                service.handle, call.type, inputs, moved, in_array=arrays.in_array, out_array=arrays.out_array
            )
            checks.equal(OVERLAP, seen, PROGRAMMER_ERROR, subject=f"{name}: output {words}")
        arrays.put(call.inputs, call.outputs)
        beside = [(arrays.out_array + 8 * len(outputs), size), *outputs[1:]]
        arrays.write(arrays.out_array, beside)
        seen = arrays.test_commands.psa_call_at(
            service.handle, call.type, inputs, beside, in_array=arrays.in_array, out_array=arrays.out_array
        )
        checks(
            WORKS,
            not service.refuses(seen),
            expected="PSA_SUCCESS",
            seen=seen,
            subject=f"{name}: output right behind its vector",
        )
    two = [(arrays.answers, 64), (arrays.answers + 63, 64)]
    inside = [((at, 1), two[0]) for at in (arrays.answers, arrays.answers + 63)]
    for first, second in (two, reversed(two), (two[0], two[0]), *inside, *map(reversed, inside), (inside[0][0],) * 2):
        handle = next(iter(bench.services.values())).handle
        seen = arrays.test_commands.psa_call(handle, 1, [], [first, second])
        checks.equal(OVERLAP, seen, PROGRAMMER_ERROR, subject=f"two outputs at {first[0]:#x} and {second[0]:#x}")


@pytest.mark.needs("infer", "nv-access", "write-stops")
def test_vectors_are_read_once(
    bench: Bench, device: Device, arrays: Arrays, virtual: VirtualBoard, checks: Checks
) -> None:
    """Another bus master changes a vector after the check. The CPU is stopped while that happens."""
    if bench.description.firmware != REFERENCE:
        pytest.skip(NOT_OURS)
    before = virtual.nv.read()
    device.infer_input(bytes(bench.description.input_bytes))
    after = virtual.nv.read()
    changed = next(n for n in range(0, len(after), 4) if after[n : n + 4] != before[n : n + 4])
    request = run_request()
    inputs, outputs = arrays.put([request, bytes(bench.description.input_bytes)], [3072, 48])
    elsewhere = arrays.answers + 0x8000
    arrays.write(arrays.in_array, inputs)
    arrays.write(arrays.out_array, outputs)
    for at in (outputs[0][0], elsewhere):
        arrays.test_commands.poke(at, b"\xa5" * 16)
    statuses: list[int] = []

    def call() -> None:
        statuses.append(
            arrays.test_commands.psa_call_at(
                bench.services["inference"].handle, 3, inputs, outputs,
                in_array=arrays.in_array, out_array=arrays.out_array,
            )
        )  # fmt: skip
        bench.asked_results += 1

    def change(cpu: StoppedCpu) -> None:
        cpu.write(arrays.out_array, elsewhere.to_bytes(4, "little"))

    if not virtual.in_secure_code(call, virtual.nv.address + changed, change):
        pytest.skip("not covered: the secure side could not be stopped between check and use")
    checks.equal(READ_ONCE, statuses, [0], subject="status")
    written = arrays.test_commands.peek(outputs[0][0], 16)[:1] == b"\xd2"
    checks(READ_ONCE, written, expected="the result where it was checked", seen="none", subject="output vector")
    checks.equal(
        READ_ONCE, arrays.test_commands.peek(elsewhere, 16), b"\xa5" * 16, subject="memory of the changed vector"
    )


def known_calls(bench: Bench, device: Device) -> dict[str, KnownCall]:
    """Calls of every message type that give something, and how much: the reference firmware's."""
    size, given = bench.description.input_bytes, bench.description.raw["out"]
    assert isinstance(given, int)
    word, pair = struct.Struct("<I"), struct.Struct("<II")
    held = device.test_commands.models()
    name = next(entry.name for entry in held if entry.active).encode()
    run = run_request()
    key, request = len(device.public_key("result")), len(device.csr("client"))
    encrypted: dict[str, KnownCall] = {"an encrypted result": ("inference", 9, [run, bytes(size)], [None, 48])}
    tokens: dict[str, KnownCall] = {
        f"the token of {n} bytes": ("attestation", 1001, [bytes(range(n))], [device.test_commands.attest_size(n)])
        for n in CHALLENGES
    }
    return (
        (encrypted if not bench.missing(["encrypted-result"]) else {})
        | tokens
        | {
            "its size": ("attestation", 1002, [word.pack(32)], [4]),
            "the device's description": ("platform", 1013, [word.pack(1)], [244]),
            "the faults": ("platform", 1013, [word.pack(2)], [FAULTS_SIZE]),
            "information": ("inference", 1, [], [64]),
            "the sampling's state": ("inference", 2, [pair.pack(2, 0)], [12]),
            "the phases of a result": ("inference", 3, [run, bytes(size)], [None, 48]),
            "a public key": ("inference", 4, [word.pack(2)], [key]),
            "a request": ("inference", 5, [word.pack(3)], [request]),
            "a batch of three": ("inference", 6, [bytes(3 * size)], [3 * given]),
            "a batch of one": ("inference", 6, [bytes(size)], [given]),
            "nine timings": ("inference", 7, [pair.pack(9, 0), b""], [36, 88]),
            "two timings": ("inference", 7, [pair.pack(2, 1), b""], [8, 88]),
            "the active model": ("model-store", 1001, [], [152]),
            "the list of models": ("model-store", 1003, [], [152 * len(held)]),
            "the selected model": ("model-store", 1004, [name], [152]),
        }
    )


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["few", "every"]
)
def test_lengths_of_outputs_say_what_was_written(
    bench: Bench, device: Device, arrays: Arrays, checks: Checks, every: bool
) -> None:
    """Every message type; with more room than is needed, with just enough, with one byte less, and when refused."""
    if bench.description.firmware != REFERENCE:
        pytest.skip(NOT_OURS)
    refused: dict[str, KnownCall] = {
        "a refused key": ("inference", 4, [struct.pack("<I", 9)], [96]),
        "a refused type": ("inference", 99, [struct.pack("<I", 9)], [96]),
    }

    def lengths_after(call: KnownCall, rooms: list[int]) -> list[int]:
        service, kind, data, _ = call
        inputs, outputs = arrays.put(data, rooms)
        arrays.write(arrays.in_array, inputs)
        arrays.write(arrays.out_array, outputs)
        arrays.test_commands.psa_call_at(
            bench.services[service].handle, kind, inputs, outputs, in_array=arrays.in_array, out_array=arrays.out_array
        )
        bench.asked_results += service == "inference" and kind in {3, 9}  # counted, also where it has no room
        return arrays.lengths(len(rooms))

    for subject, call in known_calls(bench, device).items():
        sizes = call[3]
        if not every and subject not in FEW:
            continue
        for more in (0, 7, 400):
            seen = lengths_after(call, [(size or LARGEST_RESULT) + more for size in sizes])
            wanted = [size or seen[number] for number, size in enumerate(sizes)]
            checks.equal(LENGTHS, seen, wanted, subject=f"{subject}, {more} bytes more than needed")
        rooms = [size or 16 for size in sizes]
        rooms[0] -= 1
        arrays.test_commands.poke(arrays.answers, MARK)
        seen = lengths_after(call, rooms)
        checks.equal(LENGTHS, seen, [0] * len(rooms), subject=f"{subject}, one byte too few")
        left = arrays.test_commands.peek(arrays.answers, len(MARK))
        # A buffer shorter than the mark would show the mark's own rest in any case.
        checks.equal(LENGTHS, left.hex(), MARK.hex(), subject=f"{subject}, one byte too few: what stands there")
    for subject, call in refused.items():
        for more in (0, 7):
            seen = lengths_after(call, [(size or 0) + more for size in call[3]])
            checks.equal(LENGTHS, seen, [0] * len(seen), subject=f"{subject}, {more} bytes more")


@pytest.mark.needs("sensor", "sensor-model")
def test_a_sample_that_is_refused_is_not_taken(
    bench: Bench, device: Device, arrays: Arrays, checks: Checks, stimulus: Stimulus
) -> None:
    """A request without room for the answer, or of a wrong length, leaves the window as it was."""
    service = bench.services.get("inference")
    if bench.description.firmware != REFERENCE or service is None:
        pytest.skip(NOT_OURS)
    commands = device.test_commands
    commands.sample("step")
    before = commands.sample("stop")
    for words, request, room, status in (
        ("a byte of room too little", STEP, STATE_SIZE - 1, BUFFER_TOO_SMALL),
        ("a request of a byte too much", STEP + b"\0", STATE_SIZE, INVALID_ARGUMENT),
        ("clear, a byte of room too little", CLEAR, STATE_SIZE - 1, BUFFER_TOO_SMALL),
    ):
        inputs, outputs = arrays.put([request], [room])
        seen = commands.psa_call(service.handle, SAMPLE, inputs, outputs)
        checks.equal(SENSELESS, seen, status, subject=f"a sample with {words}")
        checks.equal(SENSELESS, commands.sample("stop"), before, subject=f"the state after a sample with {words}")


@pytest.mark.thorough
def test_no_output_lies_over_any_other_vector(bench: Bench, device: Device, arrays: Arrays, checks: Checks) -> None:
    """A call with two inputs and two outputs: each output over each other vector, and over each place of the array."""
    if bench.description.firmware != REFERENCE:
        pytest.skip("not covered: what this firmware says of overlapping vectors is not known")
    run = run_request()
    inputs, outputs = arrays.put([run, bytes(bench.description.input_bytes)], [LARGEST_RESULT, 48])
    handle = bench.services["inference"].handle

    def status(moved: list[tuple[int, int]]) -> int:
        arrays.write(arrays.in_array, inputs)
        arrays.write(arrays.out_array, moved)
        seen = arrays.test_commands.psa_call_at(
            handle, 3, inputs, moved, in_array=arrays.in_array, out_array=arrays.out_array
        )
        bench.asked_results += seen >= 0
        return seen

    seen = status(outputs)
    checks(WORKS, seen >= 0, expected="PSA_SUCCESS", seen=seen, subject="a result, each vector alone")
    for number, (_, size) in enumerate(outputs):
        others = {f"input {n}": vector for n, vector in enumerate(inputs)}
        others |= {f"output {n}": vector for n, vector in enumerate(outputs) if n != number}
        others |= {f"entry {n} of the array": (arrays.out_array + 8 * n, 8) for n in range(len(outputs))}
        for words, (start, length) in others.items():
            for place, moved in (("first byte", start - size + 1), ("last byte", start + length - 1)):
                arrays.put([run, bytes(bench.description.input_bytes)], [])
                vectors = [*outputs[:number], (moved, size), *outputs[number + 1 :]]
                subject = f"output {number} over the {place} of {words}"
                checks.equal(OVERLAP, status(vectors), PROGRAMMER_ERROR, subject=subject)
    arrays.put([run, bytes(bench.description.input_bytes)], [])
    seen = status(outputs)
    checks(WORKS, seen >= 0, expected="PSA_SUCCESS", seen=seen, subject="a result, after all of it")


def test_requests_that_make_no_sense_are_refused(bench: Bench, device: Device, arrays: Arrays, checks: Checks) -> None:
    """Requests that the pseudo-driver would never send: the services must check them themselves."""
    if bench.description.firmware != REFERENCE:
        pytest.skip(NOT_OURS)
    size, given = bench.description.input_bytes, bench.description.raw["out"]
    assert isinstance(given, int)
    run = run_request()
    token, key, request = (
        device.test_commands.attest_size(32),
        len(device.public_key("result")),
        len(device.csr("result")),
    )
    word, pair = struct.Struct("<I"), struct.Struct("<II")
    chunk = struct.pack("<II32s", 0, 64, bytes(32))
    name = next(entry.name for entry in device.test_commands.models() if entry.active).encode()[:14]
    tensor = bytes(size)
    small, wrong = (BUFFER_TOO_SMALL,), (INVALID_ARGUMENT,)
    cases: list[tuple[str, str, int, list[bytes], list[int], tuple[int, ...]]] = [
        ("request one byte short", "inference", 3, [run[:-1], tensor], [3072, 48], wrong),
        ("request one byte long", "inference", 3, [run + b"\0", tensor], [3072, 48], wrong),
        ("no request", "inference", 3, [b"", tensor], [3072, 48], wrong),
        ("input one byte long", "inference", 3, [run, tensor + b"\0"], [3072, 48], wrong),
        ("input of 4097 bytes", "inference", 3, [run, bytes(4097)], [3072, 48], wrong),
        ("no room for the result", "inference", 3, [run, tensor], [16, 48], small),
        ("no room for the phases", "inference", 3, [run, tensor], [3072, 47], small),
        *((f"sample mode {mode:#x}", "inference", 2, [pair.pack(mode, 10)], [12], wrong)
          for mode in (4, 5, 0x80, 0x100, 0x10000, 0x80000000, 0xFFFFFFFF)),
        *((f"sampling period {ms}", "inference", 2, [pair.pack(1, ms)], [12], wrong)
          for ms in (0, 60001, 65536, 0x80000000, 0xFFFFFFFF)),
        ("sample request of 7 bytes", "inference", 2, [pair.pack(0, 0)[:7]], [12], wrong),
        ("sample request of 9 bytes", "inference", 2, [pair.pack(0, 0) + b"\0"], [12], wrong),
        ("no room for the sample's state", "inference", 2, [pair.pack(0, 0)], [11], small),
        *((f"key {number:#x}", "inference", kind, [word.pack(number)], [512], wrong)
          for kind in (4, 5) for number in (0, 4, 0x101, 0x10002, 0x80000002, 0xFFFFFFFF)),
        ("request for the attestation key", "inference", 5, [word.pack(1)], [512], wrong),
        ("key number of 3 bytes", "inference", 4, [word.pack(2)[:3]], [512], wrong),
        ("key number of 5 bytes", "inference", 5, [word.pack(2) + b"\0"], [512], wrong),
        ("room for a key but for one byte", "inference", 4, [word.pack(2)], [key - 1], small),
        ("room for a request but for one byte", "inference", 5, [word.pack(2)], [request - 1], small),
        ("an empty batch", "inference", 6, [b""], [3072], wrong),
        ("a batch one byte short", "inference", 6, [tensor[:-1]], [3072], wrong),
        ("a batch one byte long", "inference", 6, [tensor + b"\0"], [3072], wrong),
        ("room for a batch but for one byte", "inference", 6, [tensor * 3], [3 * given - 1], small),
        ("no timings", "inference", 7, [pair.pack(0, 0), b""], [4, 88], wrong),
        ("513 timings", "inference", 7, [pair.pack(513, 0), b""], [4 * 513, 88], wrong),
        ("513 to warm up", "inference", 7, [pair.pack(1, 513), b""], [4, 88], wrong),
        *((f"{count:#x} timings, {warm:#x} to warm up", "inference", 7, [pair.pack(count, warm), b""], [4, 88], wrong)
          for n in (0x10001, 0x80000001, 0xFFFFFFFF) for count, warm in ((n, 0), (1, n))),
        ("room for timings but for one byte", "inference", 7, [pair.pack(2, 0), b""], [7, 88], small),
        ("no room for the frame", "inference", 7, [pair.pack(1, 0), b""], [4, 16], wrong),
        ("timings of an input one byte long", "inference", 7, [pair.pack(1, 0), tensor + b"\0"], [4, 88], wrong),
        ("timing request of 7 bytes", "inference", 7, [pair.pack(1, 0)[:7], b""], [4, 88], wrong),
        ("information without room", "inference", 1, [], [63], small),
        ("challenge size of 3 bytes", "attestation", 1002, [word.pack(32)[:3]], [4], wrong),
        ("challenge size of 5 bytes", "attestation", 1002, [word.pack(32) + b"\0"], [4], wrong),
        ("no room for the size", "attestation", 1002, [word.pack(32)], [3], small),
        ("room for a token but for one byte", "attestation", 1001, [bytes(32)], [token - 1], small),
        ("challenge of 65 bytes", "attestation", 1001, [bytes(65)], [1024], wrong),
        ("challenge of 4096 bytes", "attestation", 1001, [bytes(4096)], [1024], wrong),
        ("platform request of 3 bytes", "platform", 1013, [word.pack(1)[:3]], [244], wrong),
        ("platform request of 5 bytes", "platform", 1013, [word.pack(1) + b"\0"], [244], wrong),
        ("no room for the device's description", "platform", 1013, [word.pack(1)], [100], small),
        ("no model name", "model-store", 1004, [b""], [152], wrong),
        ("a model name of 16 bytes", "model-store", 1004, [b"n" * 16], [152], wrong),
        ("a model name and a NUL", "model-store", 1004, [name + b"\0"], [152], wrong),
        ("a model name, a NUL and more", "model-store", 1004, [(name + b"\0xyz")[:15]], [152], wrong),
        ("no room for the active model", "model-store", 1001, [], [151], small),
        ("no room for the selected model", "model-store", 1004, [b"tamper"], [151], small),
        ("no room for the list", "model-store", 1003, [], [152], small),
        ("a chunk's head of 39 bytes", "model-store", 1005, [chunk[:-1], b"x"], [4], wrong),
        ("a chunk's head of 41 bytes", "model-store", 1005, [chunk + b"\0", b"x"], [4], wrong),
        ("no room for the next offset", "model-store", 1005, [chunk, b"x"], [3], small),
        ("a digest of 31 bytes", "model-store", 1006, [bytes(31)], [152], wrong),
        ("a digest of 33 bytes", "model-store", 1006, [bytes(33)], [152], wrong),
        ("no room for what was activated", "model-store", 1006, [bytes(32)], [151], small),
    ]  # fmt: skip
    uid = bytes(range(1, 9))
    if not bench.missing(["protected-storage"]) and "protected-storage" in bench.services:
        cases += [
            (f"{words}, type {kind}", "protected-storage", kind, [number, *rest], rooms, wrong)
            for kind, rest, rooms in ((1001, [b"data", bytes(4)], []), (1002, [bytes(4)], [64]), (1003, [], [12]),
                                      (1004, [], []))
            for words, number in (("a uid of 7 bytes", uid[:7]), ("a uid of 9 bytes", uid + b"\0"), ("no uid", b""))
        ]  # fmt: skip
        cases += [
            ("flags of 3 bytes", "protected-storage", 1001, [uid, b"data", bytes(3)], [], wrong),
            ("flags of 5 bytes", "protected-storage", 1001, [uid, b"data", bytes(5)], [], wrong),
            ("an offset of 3 bytes", "protected-storage", 1002, [uid, bytes(3)], [64], wrong),
            ("an offset of 8 bytes", "protected-storage", 1002, [uid, bytes(8)], [64], wrong),
            ("no room for the information", "protected-storage", 1003, [uid], [11], small),
        ]
    if not bench.missing(["encrypted-result"]):
        cases += [
            ("no room for an encrypted result", "inference", 9, [run, tensor], [16, 48], small),
            ("no room for its phases", "inference", 9, [run, tensor], [3072, 47], small),
            ("an input one byte long, encrypted", "inference", 9, [run, tensor + b"\0"], [3072, 48], wrong),
            ("a request one byte long, encrypted", "inference", 9, [run + b"\0", tensor], [3072, 48], wrong),
        ]
    before = device.test_commands.sample("stop")
    for subject, service, kind, data, rooms, wanted in cases:
        inputs, outputs = arrays.put(data, rooms)
        seen = device.test_commands.psa_call(bench.services[service].handle, kind, inputs, outputs)
        checks(SENSELESS, seen in wanted, expected=wanted[0], seen=seen, subject=f"{service}: {subject}")
    checks.equal(SENSELESS, device.test_commands.sample("stop"), before, subject="nothing was sampled by it")
