"""The sensor's bus misbehaves: no reading is made up, each failure is reported, and afterwards all works again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import pytest
from tfm_harness import (
    Bench,
    BusListener,
    Check,
    Checks,
    Console,
    Device,
    ProductError,
    RegisterAccess,
    Sample,
    Stimulus,
    Verifier,
    VirtualBoard,
)
from tfm_harness.protocol.smp import SampleState, status_of
from tfm_harness.verify import SampleValues, samples_in

pytestmark = pytest.mark.needs(
    "infer", "signed-result", "sensor", "stimulus", "sensor-model", "memory-map", "register-stops", "target-qemu"
)

SCL, SDA = 1, 2
BAD_STATE = -137
LONGEST = 60_000
"""Milliseconds: the longest period of free running (docs/protocol.md)."""
ABSENT, NACK, STUCK, WRONG = 1, 2, 3, 4
"""Sensor status (docs/protocol.md)."""
PLAYED = {"mag.x": 131.3, "mag.y": 90.1, "mag.z": 44.7, "temp": 21.0625}
"""Readings that no log shows by chance."""
REFERENCE = "tfm-harness-reference"
DOCUMENTED = ["3c 00 1c", "3c 01 20", "3c 02 00", "90 01 60"]
"""What the reference firmware writes (docs/protocol.md): addresses of writes, registers, values."""
ONE_BIT = (0x04, 0x20, 0x01, 0x01, 0x08)
"""A bit of each byte that must be what it is, in the order in which the reference firmware reads them: of the rate, of
the range, of the mode (a single conversion), shutdown, and the highest of those that a temperature does not have."""
VALUE = 2
"""Number of the byte that holds a setting, behind address and register."""
LAST_CLOCK, LAST_DATA = 2, 1
"""Looks that are left where the controller waits for the clock of the last STOP, and for the data line behind it."""
CLEARED = 9
"""Clocks after which a sensor that was stopped in the middle of a byte lets go of SDA at the latest."""
PATIENCE = 10
"""A failed sample may look at the lines so many times as often as a good one."""
STEPPED = 600.0
"""Seconds: the CPU stands still at each access, thousands of times, and the host may be busy."""
STRETCH = 6
"""Looks at SCL for which a sensor holds it low: well within what UM10204 s.3.1.9 lets a target do."""

SAID = Check(
    id="bus.failure-is-said",
    title="a sample that the bus did not give is reported, and not counted",
    requirement="PSA Security Model 1.1 s.4.5 (integrity of assets); docs/protocol.md, sensor status",
)
NOT_STALE = Check(
    id="bus.no-stale-window",
    title="after a failure of the bus no earlier window is inferred from and signed",
    requirement="PSA Security Model 1.1 s.4.5 (integrity of assets); docs/protocol.md, infer (PSA_ERROR_BAD_STATE)",
)
BOUNDED = Check(
    id="bus.bounded",
    title="whatever the bus does, a sample ends, and the device answers",
    requirement="PSA Security Model 1.1 s.4.9 (availability); docs/protocol.md, sample",
)
RECOVERS = Check(
    id="bus.recovers",
    title="when the bus works again, the next sample is good, and is the one that is played",
    requirement="UM10204 s.3.1.16 (bus clear); docs/protocol.md, sample",
)
BORNE = Check(
    id="bus.stretching-borne",
    title="a sensor may hold the clock low for a while",
    requirement="UM10204 s.3.1.9 (clock stretching)",
)
LAST_REFUSED = Check(
    id="bus.last-byte-refused",
    title="the controller acknowledges each byte that it reads, but for the last one of a transfer",
    requirement="UM10204 s.3.1.6 (the controller signals the end of a transfer by not acknowledging)",
)
REFUSAL_HEEDED = Check(
    id="bus.refusal-heeded",
    title="nothing more is sent in a transfer whose address nobody acknowledged",
    requirement="UM10204 s.3.1.6 (a controller that is not acknowledged ends the transfer, or begins another one)",
)
SET_UP = Check(
    id="bus.set-up-again",
    title="after a failure the sensors are set up again, as they may have lost their power",
    requirement="docs/protocol.md, sensor status 4; PSA Security Model 1.1 s.4.5 (integrity of assets)",
)
IDLE = Check(
    id="bus.left-idle",
    title="a sample, failed or not, ends with a STOP, and the controller holds no line low behind it",
    requirement="UM10204 s.3.1.4, s.3.1.6 (a transfer ends with a STOP)",
)
COUNTS = Check(
    id="bus.every-byte-counts",
    title="the device uses each byte that a sensor gives: a changed byte makes another sample, or is refused",
    requirement="docs/protocol.md, sensor status 4 (settings lost); PSA Security Model 1.1 s.4.5 (integrity of assets)",
)
SETTINGS = Check(
    id="bus.settings-written",
    title="sensors are set up as documented: rate, range, mode and resolution",
    requirement="docs/protocol.md, sensor status (set-up)",
)
GIVEN_UP = Check(
    id="bus.clock-waited-for",
    title="a sample fails when the controller gives up waiting for its own clock, which a sensor holds low",
    requirement="UM10204 s.3.1.9 (clock stretching); PSA Security Model 1.1 s.4.5 (integrity of assets)",
)
GOES_ON = Check(
    id="bus.free-running-goes-on",
    title="free running outlives a failure: its samples come again when the bus works again",
    requirement="docs/protocol.md, sample; PSA Security Model 1.1 s.4.9 (availability)",
)
NOT_SHOWN = Check(
    id="bus.reading-in-output",
    title="no console shows what was read before the bus failed",
    requirement="PSA Security Model 1.1 s.4.5 (confidentiality of assets)",
)
LISTENS = Check(
    id="bus.injector-works",
    title="the transfers on the bus are understood, and faults reach the controller",
    requirement="tfm-harness: a fault that nobody sees proves nothing",
    waivable=False,
)

HEARD: WeakKeyDictionary[Bench, BusListener] = WeakKeyDictionary()
"""What was heard on each board: every sample of a firmware is the same transfers."""

Fault = Callable[[int, int], int]
"""What the controller shall see, of the number of its look at the lines and of what it would see."""


@dataclass
class Wire:
    """The two lines, between the controller's register and the secure side."""

    virtual: VirtualBoard
    device: Device
    base: int
    consoles: Mapping[str, Console]
    firmware: str | None
    listener: BusListener = field(default_factory=BusListener)

    def listen(self, listener: BusListener | None = None, fault: Fault = lambda _, lines: lines) -> SampleState:
        """One sample; a listener follows it."""
        listener = listener or self.listener

        def access(seen: RegisterAccess) -> int:
            if seen.write:
                listener.write(seen.address - self.base, seen.value)
                return seen.value
            return fault(listener.read(), seen.value)

        with self.virtual.accesses([self.base, self.base + 4], access, writes=True):
            return self.device.test_commands.sample("step", timeout=STEPPED)

    def step(self, fault: Fault, *, samples: int = 1) -> tuple[list[SampleState], int]:
        """Take samples while the lines are faulty; how often the controller read the register."""
        looks = 0

        def access(seen: RegisterAccess) -> int:
            nonlocal looks
            looks += 1
            # Where the driver would look for ever the line heals at last, so that the test can go on.
            return fault(looks - 1, seen.value) if looks <= PATIENCE * samples * self.listener.reads else seen.value

        with self.virtual.accesses([self.base], access):
            states = [self.device.test_commands.sample("step", timeout=STEPPED) for _ in range(samples)]
        return states, looks

    def held_until_given_up(self, place: int) -> tuple[SampleState, bool]:
        """Take a sample while SCL is held low in the clock after one read, until the controller pulls SCL low itself.

        Also tells whether the controller did so.
        """
        looks = waited = 0
        gave_up = begins = False

        def access(seen: RegisterAccess) -> int:
            nonlocal looks, waited, gave_up, begins
            if seen.write:
                begins = bool(seen.value & SCL)
                gave_up |= waited > 0 and begins and seen.address != self.base
                return seen.value
            looks += 1
            first, begins = begins, False  # the look behind a release of SCL is one at the clock
            if gave_up or (not waited and (looks <= place or not first)):
                return seen.value
            waited += 1
            return seen.value & ~SCL if waited <= PATIENCE * self.listener.reads else seen.value

        with self.virtual.accesses([self.base, self.base + 4], access, writes=True):
            return self.device.test_commands.sample("step", timeout=STEPPED), gave_up


@pytest.fixture
def wire(bench: Bench, device: Device, virtual: VirtualBoard, stimulus: Stimulus, checks: Checks) -> Wire:
    """The bus of the sensors, listened to once."""
    buses = [peripheral for peripheral in bench.memory_map.peripherals if peripheral.role == "sensor"]
    if not buses:
        pytest.skip("not covered: the memory map names no peripheral with the role of the sensors' bus")
    device.fill_window()
    wire = Wire(virtual, device, buses[0].alias or buses[0].at, bench.board.consoles, bench.description.firmware)
    known = HEARD.get(bench)
    if known is None:
        wire.listen()
        stimulus.taken()
        HEARD[bench] = wire.listener
    else:
        wire.listener = known
    heard = wire.listener
    checks(
        LISTENS, heard.transfers >= len(bench.combination.target.sensors) and bool(targets(wire)),
        expected="transfers with acknowledgements", seen=f"{heard.transfers}, {len(heard.slots)}", subject="a sample",
    )  # fmt: skip
    return wire


def targets(wire: Wire) -> list[tuple[int, int, tuple[int, int]]]:
    """Where the sensors acknowledge: the transfer, the byte, and at which reads of the register."""
    return [(slot.transfer, slot.byte, slot.reads) for slot in wire.listener.slots if slot.by_target]


def inference_status(device: Device) -> int | None:
    """The status with which an inference of the sensor's window is refused; 0 when it is given."""
    return status_of(device.infer_again, [Sample(0, 0, 0, 0)] * 32)


def fails(checks: Checks, wire: Wire, stimulus: Stimulus, fault: Fault, subject: str, status: int) -> None:
    """Starting with a full window: the sample fails, the device says so and keeps nothing; the next one is good."""
    device = wire.device
    for channel, value in PLAYED.items():
        stimulus.set(channel, value)
    marks = [(name, console, console.mark()) for name, console in wire.consoles.items()]
    device.fill_window()
    before = device.test_commands.sample("stop")
    try:
        (state,), looks = wire.step(fault)
    except ProductError as error:
        checks(BOUNDED, False, expected="an answer", seen=error.message, subject=subject)
        raise
    most = PATIENCE * wire.listener.reads
    checks(BOUNDED, looks < most, expected=f"at most {most} looks at the lines", seen=looks, subject=subject)
    said(checks, wire, state, status, subject)
    checks.equal(SAID, state.taken, before.taken, subject=f"{subject}: samples counted")
    checks.equal(NOT_STALE, state.window, 0, subject=f"{subject}: samples in the window")
    checks.equal(NOT_STALE, inference_status(device), BAD_STATE, subject=f"{subject}: inference")
    after = device.test_commands.sample("step")
    stimulus.taken()
    seen = (after.status, after.window, after.taken)
    checks.equal(RECOVERS, seen, (0, 1, before.taken + 1), subject=f"the next sample after {subject}")
    played = stimulus.sample()
    shown = [SampleValues((played.x, played.y, played.z, played.t), tuple(PLAYED.values()))]
    for name, console, mark in marks:
        lines = [line.decode("ascii", "backslashreplace") for _, line in samples_in(console.read_from(mark), shown)]
        checks(NOT_SHOWN, not lines, expected="nothing", seen="; ".join(lines[:3]), subject=f"{name}, {subject}")


def said(checks: Checks, wire: Wire, state: SampleState, status: int, subject: str) -> None:
    """The sample failed, with the status that the reference firmware documents."""
    wanted = {status} if wire.firmware == REFERENCE else range(1, 1 << 32)
    checks(SAID, state.status in wanted, expected=f"status {status}", seen=state.words, subject=subject)


def not_acknowledged(looks: tuple[int, int]) -> Fault:
    """SDA stays high."""
    return lambda look, lines: lines | SDA if looks[0] <= look < looks[1] else lines


def some(found: Sequence[tuple[int, int, tuple[int, int]]], *, every: bool) -> list[tuple[int, int, tuple[int, int]]]:
    """All of them, or the address of the first transfer and the last byte of data."""
    if every:
        return list(found)
    addresses = [slot for slot in found if slot[1] == 0]
    data = [slot for slot in found if slot[1] > 0]
    return [addresses[0], *data[-1:]]


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["some", "every"]
)
def test_each_byte_that_is_not_acknowledged(
    wire: Wire, stimulus: Stimulus, verifier: Verifier, checks: Checks, every: bool
) -> None:
    for transfer, byte, looks in some(targets(wire), every=every):
        subject = f"no acknowledgement of byte {byte} of transfer {transfer}"
        fails(checks, wire, stimulus, not_acknowledged(looks), subject, NACK if byte else ABSENT)
    verifier.result(wire.device.infer_window(), subject="a window after it")
    verifier.relations()


@pytest.mark.parametrize(
    "parts", [pytest.param((3,), id="some"), pytest.param(range(6), id="every", marks=pytest.mark.thorough(parts=(3,)))]
)
@pytest.mark.parametrize("line", [SCL, SDA], ids=["SCL", "SDA"])
def test_a_line_that_is_stuck_low(
    wire: Wire, stimulus: Stimulus, verifier: Verifier, checks: Checks, line: int, parts: Sequence[int]
) -> None:
    """A line is low from some point of the sample on: a sensor that lost its clock, or a short circuit."""
    starts = [wire.listener.reads * part // 6 for part in parts]
    if len(parts) > 1 and wire.firmware == REFERENCE:  # others may take what they read before the STOP
        starts.append(wire.listener.reads - (LAST_CLOCK if line == SCL else LAST_DATA))
    for start in starts:

        def stuck(look: int, lines: int, start: int = start) -> int:
            return lines & ~line if look >= start else lines

        name = "SCL" if line == SCL else "SDA"
        fails(checks, wire, stimulus, stuck, f"{name} stuck low from look {start} of {wire.listener.reads} on", STUCK)
    verifier.result(wire.device.infer_window(), subject="a window after it")
    verifier.relations()


def test_a_sensor_that_stretches_the_clock(wire: Wire, stimulus: Stimulus, verifier: Verifier, checks: Checks) -> None:
    device = wire.device
    device.fill_window()
    for start in (wire.listener.reads // 5, wire.listener.reads // 2):

        def slow(look: int, lines: int, start: int = start) -> int:
            return lines & ~SCL if start <= look < start + STRETCH else lines

        (state,), looks = wire.step(slow)
        stimulus.taken()
        subject = f"SCL low for {STRETCH} looks from look {start} on"
        checks(LISTENS, looks > start, expected="the fault reached", seen=f"{looks} looks", subject=subject)
        checks.equal(BORNE, (state.status, state.window), (0, 32), subject=subject)
    verifier.result(device.infer_again(stimulus.expected_samples(32)), subject="the window with slow samples")


def test_sensors_that_are_away_and_come_back(
    bench: Bench, wire: Wire, stimulus: Stimulus, verifier: Verifier, checks: Checks
) -> None:
    """No sensor answers for three samples; then all of them are there again, with another reading."""
    device = wire.device
    device.fill_window()
    before = device.test_commands.sample("stop")
    states, _ = wire.step(lambda _, lines: lines | SDA, samples=3)
    for number, state in enumerate(states):
        checks(SAID, state.status != 0, expected="absent", seen=state.words, subject=f"sample {number} of nobody")
        seen = (state.window, state.taken)
        checks.equal(NOT_STALE, seen, (0, before.taken), subject=f"window and count after sample {number} of nobody")
    checks.equal(NOT_STALE, inference_status(device), BAD_STATE, subject="inference while nobody is there")
    # The next sample of free running is due long after the look.
    free = [] if bench.missing(["free-running"]) else [("free", LONGEST), ("stop", None)]
    for mode, ms in [("stop", None), ("stop", None), ("clear", None), *free]:
        status = device.test_commands.sample(mode, ms=ms).status
        checks.equal(SAID, status, states[-1].status, subject=f"status of the last sample, looked at by {mode}")
    for channel, value in (("mag.x", 71.0), ("temp", -3.5)):
        stimulus.set(channel, value)
    verifier.result(device.infer_window(), subject="a window after they came back")
    verifier.relations()
    after = device.test_commands.sample("stop")
    checks.equal(RECOVERS, after.taken, before.taken + 32, subject="samples counted after they came back")


def test_the_last_byte_of_a_transfer_is_not_acknowledged(wire: Wire, checks: Checks) -> None:
    """A sensor whose last byte is acknowledged goes on sending, and may hold the line when the controller stops."""
    read: dict[int, list[bool]] = {}
    for slot in wire.listener.slots:
        if not slot.by_target:
            read.setdefault(slot.transfer, []).append(slot.refused)
    checks(LISTENS, bool(read), expected="transfers that read", seen="none", subject="bytes that the controller reads")
    left_idle(checks, wire.listener, "a sample")
    for transfer, refused in read.items():
        checks.equal(LAST_REFUSED, refused, [False] * (len(refused) - 1) + [True], subject=f"transfer {transfer}")


@pytest.mark.thorough
def test_sensors_are_set_up_again_after_a_failure(wire: Wire, stimulus: Stimulus, checks: Checks) -> None:
    """A sensor that lost its power does not answer for a while, and has forgotten its settings then.

    One that was stopped in the middle of a byte holds SDA low until it has seen the rest of its clocks.
    """
    gone = BusListener()
    state = wire.listen(gone, lambda _, lines: lines | SDA)
    checks(LISTENS, state.status != 0, expected="a failure", seen=state.words, subject="a sample of nobody")
    left_idle(checks, gone, "a sample of nobody")
    behind = sum(slot.byte > 0 for slot in gone.slots)
    checks.equal(REFUSAL_HEEDED, behind, 0, subject="bytes sent to a sensor that did not acknowledge its address")
    again = BusListener()
    state = wire.listen(again, lambda _, lines: lines & ~SDA if again.clocks < CLEARED else lines)
    stimulus.taken()
    words = f"a sensor that lets go of SDA after {CLEARED} clocks"
    checks.equal(RECOVERS, (state.status, state.window), (0, 1), subject=words)
    left_idle(checks, again, "the sample after it")
    set_up_again(checks, wire, again, "a sample of nobody")
    if wire.firmware != REFERENCE:
        return  # its settings are documented elsewhere
    sent: dict[int, list[int]] = {}
    for slot in again.slots:
        if slot.by_target:
            sent.setdefault(slot.transfer, []).append(slot.value)
    seen = [bytes(content).hex(" ") for content in sent.values() if len(content) > 2]
    checks.equal(SETTINGS, seen, DOCUMENTED, subject="address, register and value of each")


def left_idle(checks: Checks, listener: BusListener, subject: str) -> None:
    """Nothing is left of the transfers."""
    checks(
        IDLE, listener.idle, expected="a STOP, and both lines let go", seen="none", subject=f"the bus after {subject}"
    )


def set_up_again(checks: Checks, wire: Wire, listener: BusListener, subject: str) -> None:
    """More was sent than for a sample alone."""
    usual = wire.listener.transfers
    checks(
        SET_UP, listener.transfers > usual, expected=f"more than {usual} transfers", seen=listener.transfers,
        subject=f"after {subject}",
    )  # fmt: skip


def bytes_read(listener: BusListener) -> list[tuple[str, tuple[int, int]]]:
    """Each byte that the controller reads: where it is, and at which reads of the register its eight bits come."""
    found: list[tuple[str, tuple[int, int]]] = []
    for before, slot in zip(listener.slots, listener.slots[1:], strict=False):
        if not slot.by_target:
            found.append((f"byte {slot.byte} of transfer {slot.transfer}", (before.reads[1], slot.reads[0])))
    return found


def inverted(looks: tuple[int, int], bits: int = 0xFF) -> Fault:
    """Invert these bits of a byte. The controller reads the register equally often in each of the eight clocks."""
    each = (looks[1] - looks[0]) // 8

    def fault(look: int, lines: int) -> int:
        inside = looks[0] <= look < looks[1]
        return lines ^ SDA if inside and 0x80 >> min(7, (look - looks[0]) // max(1, each)) & bits else lines

    return fault


@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.thorough(every=False))], ids=["first", "every"]
)
def test_every_byte_that_a_sensor_gives_counts(wire: Wire, stimulus: Stimulus, checks: Checks, every: bool) -> None:
    """Settings that a sensor has lost, bits that are always zero, and readings: the device must use every byte."""
    device = wire.device
    found = bytes_read(wire.listener)
    checks(LISTENS, bool(found), expected="bytes that are read", seen="none", subject="a sample")
    full = lost = False
    fixed: list[tuple[str, tuple[int, int]]] = []
    for subject, looks in found if every else found[:1]:
        if not full:
            device.fill_window()
        (state,), _ = wire.step(inverted(looks))
        stimulus.taken()
        full = state.status == 0
        if not full:
            fixed.append((subject, looks))
            said(checks, wire, state, WRONG, f"{subject}, inverted")
            checks.equal(NOT_STALE, state.window, 0, subject=f"{subject}, inverted: samples in the window")
        if every and not full and not lost:
            lost, again = True, BusListener()
            wire.listen(again)
            stimulus.taken()
            set_up_again(checks, wire, again, f"{subject}, inverted")
        passed_over = False
        if full:
            played = hashlib.sha256(stimulus.sample().record() * state.window).digest()
            passed_over = played in device.infer_again([stimulus.sample()] * state.window).answer.message
            full = passed_over
        checks(
            COUNTS, not passed_over, expected="a failure, or another sample", seen="the sample of before",
            subject=f"{subject}, inverted",
        )  # fmt: skip
    if every:
        single_bits_are_judged(wire, checks, fixed)
        set_up_is_judged(wire, checks)


def single_bits_are_judged(wire: Wire, checks: Checks, fixed: Sequence[tuple[str, tuple[int, int]]]) -> None:
    """One bit of a setting differs, as in a sensor that was switched off."""
    if wire.firmware != REFERENCE:
        return  # which bits of its settings matter is documented elsewhere
    checks.equal(LISTENS, len(fixed), len(ONE_BIT), subject="bytes that must be what they are")
    for (subject, looks), bit in zip(fixed, ONE_BIT, strict=False):
        wire.device.test_commands.sample("step")  # set up again, after the failure before
        (state,), _ = wire.step(inverted(looks, bit))
        words = f"bit {bit:#04x} of {subject} inverted"
        checks(COUNTS, state.status != 0, expected="a failure", seen=state.words, subject=words)
        said(checks, wire, state, WRONG, words)
    wire.device.test_commands.sample("step")


def set_up_is_judged(wire: Wire, checks: Checks) -> None:
    """Judges the device's checks of what sensors say when they are set up, which happens after a failure."""
    wire.step(lambda _, lines: lines | SDA)
    whole = BusListener()
    wire.listen(whole)
    usual = len(bytes_read(wire.listener))
    asked = bytes_read(whole)
    for subject, looks in asked[: len(asked) - usual]:
        wire.step(lambda _, lines: lines | SDA)
        (state,), _ = wire.step(inverted(looks))
        checks(COUNTS, state.status != 0, expected="a failure", seen=state.words, subject=f"{subject} of the set-up")
        said(checks, wire, state, WRONG, f"{subject} of the set-up, inverted")
    set_up = [
        slot for slot in whole.slots if slot.by_target and slot.transfer <= whole.transfers - wire.listener.transfers
    ]
    for slot in [slot for slot in set_up if slot.byte == VALUE][-1:]:  # the thermometer's
        wire.step(lambda _, lines: lines | SDA)
        (state,), _ = wire.step(not_acknowledged(slot.reads))
        subject = f"no acknowledgement of byte {slot.byte} of transfer {slot.transfer} of the set-up"
        said(checks, wire, state, NACK, subject)
    wire.device.test_commands.sample("step")


@pytest.mark.thorough
def test_a_clock_that_is_given_up_was_none(wire: Wire, checks: Checks) -> None:
    """A sensor holds SCL low until the controller has waited long enough, and then lets go of it at once.

    A controller that goes on as if there had been a clock is a bit ahead of the sensor from there on.
    """
    acknowledged = [slot for slot in wire.listener.slots if slot.by_target and slot.byte > 0][-1]
    read = next(slot for slot in wire.listener.slots if not slot.by_target)
    for subject, place in {
        "an acknowledgement": acknowledged.reads[0],
        "a bit that is read": read.reads[0] - 6,
    }.items():
        wire.device.test_commands.sample("step")
        state, gave_up = wire.held_until_given_up(place)
        if gave_up:  # a controller that waits for ever is judged by the lines that are stuck
            checks(
                GIVEN_UP, state.status != 0, expected="a failure", seen=state.words, subject=f"the clock of {subject}"
            )
    wire.device.test_commands.sample("step")


@pytest.mark.thorough
@pytest.mark.needs("free-running")
def test_free_running_outlives_a_failure(wire: Wire, stimulus: Stimulus, checks: Checks) -> None:
    """No sensor answers until a sample has failed; then all of them are back."""
    test_commands = wire.device.test_commands
    wire.device.fill_window()
    period = 20
    with wire.virtual.accesses([wire.base], lambda seen: seen.value | SDA):
        before = test_commands.sample("free", ms=period).taken
        looks = (test_commands.sample("free", ms=period, timeout=STEPPED) for _ in range(500))
        failed = next((look for look in looks if look.status != 0), None)
    checks(LISTENS, failed is not None, expected="a failure", seen="none", subject="free running with nobody there")
    if failed is not None:
        checks.equal(NOT_STALE, failed.window, 0, subject="samples in the window after one that failed by itself")
    try:
        came = any(test_commands.sample("free", ms=period).taken > before + 1 for _ in range(3000))
        state = test_commands.sample("free", ms=period)
        checks(GOES_ON, came, expected="further samples", seen=state.words, subject="after a failed sample")
        checks.equal(GOES_ON, state.status, 0, subject="status of the samples after it")
    finally:
        test_commands.sample("stop")
        test_commands.sample("clear")
