"""Free running over hours, and beside long work, on a clock whose idle time passes at once: hours take seconds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest
from tfm_harness import Bench, Check, Checks, ClockQuality, Device, ProductError
from tfm_harness.protocol.smp import PsaCall, run_request

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.needs(
        "infer", "signed-result", "sensor", "stimulus", "sensor-model", "free-running", "latency", "nonce"
    ),
]

LONGEST = 60_000
ENOUGH = 300
"""Samples in a row: more than a byte counts, and hours where each is a minute behind the one before."""
LOOKS = 3000
NO_CLOCK = "not covered: idle time does not pass at once on this board"
RUN, SAMPLE, BATCH, LATENCY, TRACE, FREE, TRACE_ALL = 3, 2, 6, 7, 8, 1, 0xFFFFFFFF
"""Message types, the mode and the operator of docs/protocol.md and tfm_inference_defs.h."""
SAMPLE_STATE, FIRST_LOOK, LAST_LOOK = 12, 0x2000, 0x2100
"""Bytes of an answer about samples, and where two of them go in the tests' memory."""
EDGES = 3
"""Samples that may be due at the very begin and end of a span, and one that is taken behind an inference."""
TIMED, TRIES = 2, 5
SHORT = 2
"""Milliseconds between two samples, of which many are due while a signature is made."""
TRACED = 0x1000

LONG_RUNS = Check(
    id="sensor.long-runs",
    title="samples come at the period asked for, to the longest one, and after hours as in the first minute",
    requirement="docs/protocol.md, sample (period 1 to 60000 ms)",
)
TOKEN = 1001
"""Message type of a token (docs/protocol.md, Services)."""
DURING = Check(
    id="sensor.beside-other-work",
    title="samples that are due during work other than the model's are taken",
    requirement="docs/protocol.md, sample",
)
NOT_DURING = Check(
    id="sensor.none-during-inference",
    title="samples that are due during an inference are not taken, neither then nor later",
    requirement="docs/protocol.md, sample",
)


@pytest.fixture
def hurried(bench: Bench, device: Device) -> Iterator[Device]:
    """The board, started anew with such a clock, its stimulus still."""
    if bench.board.clock_quality is not ClockQuality.MEANINGLESS:
        pytest.skip(NO_CLOCK)
    with bench.exact_clock() as exact:
        if not exact:
            pytest.skip(NO_CLOCK)
        yield device
        device.test_commands.sample("stop")


def test_samples_of_hours_come_at_their_period(bench: Bench, hurried: Device, checks: Checks) -> None:
    """From short periods to the longest one; then, hours later, a short one again. Few are round numbers."""
    test_commands = hurried.test_commands
    hz = test_commands.latency(1).hz
    for number, period in enumerate((44, 1499, 7001, LONGEST, 7)):
        seconds = test_commands.latency(1).end // hz
        subject = f"{period} ms, {seconds} s after the start" + (" (after all others)" if number == 4 else "")
        try:
            look_at(hurried, checks, period, subject)
        except ProductError as error:
            checks(LONG_RUNS, False, expected=f"{ENOUGH} samples", seen=error.message, subject=subject)
            raise


def look_at(device: Device, checks: Checks, period: int, subject: str) -> None:
    """Let samples come at one period, in milliseconds, and judge how many came in the time that passed."""
    test_commands = device.test_commands
    test_commands.sample("clear")
    begun = test_commands.sample("free", ms=period)
    checks.equal(LONG_RUNS, begun.window, 0, subject=f"{period} ms: samples before the first period has passed")
    before = test_commands.latency(1).end
    first = test_commands.sample("free", ms=period).taken
    inside = test_commands.latency(1).end
    done = any(test_commands.sample("free", ms=period).taken >= first + ENOUGH for _ in range(LOOKS))
    behind = test_commands.latency(1).start
    last = test_commands.sample("free", ms=period).taken
    timed = test_commands.latency(1)
    test_commands.sample("stop")
    if not checks(
        LONG_RUNS, done, expected=f"{ENOUGH} samples", seen=f"{last - first} after {LOOKS} looks", subject=subject
    ):
        return
    due = period * timed.hz / 1000
    few, many = 0.9 * (behind - inside) / due - 4, 1.05 * (timed.start - before) / due + 2
    checks(
        LONG_RUNS, few <= last - first <= many, expected=f"{few:.0f} to {many:.0f} samples", seen=last - first,
        subject=subject,
    )  # fmt: skip


class Beside:
    """Raw calls between two readings of the number of samples, while the firmware samples by itself.

    The slowest model is active: an inference takes `ticks`. `due` ticks lie between two samples.
    """

    def __init__(self, bench: Bench, device: Device) -> None:
        scratch, service = bench.memory_map.scratch, bench.services.get("inference")
        if scratch is None or service is None:
            pytest.skip("not covered: no non-secure RAM for tests, or no inference service with the documented calls")
        self.commands, self.base, self.handle = device.test_commands, scratch[0], service.handle
        times: dict[str, int] = {}
        for entry in self.commands.models():
            if entry.status == 0 and entry.name in bench.combination.build.models:
                device.select_model(entry.name)
                times[entry.name] = min(self.commands.latency(2).ticks)
        device.select_model(max(times, key=lambda name: times[name]))
        hz, self.size = self.commands.latency(1).hz, bench.description.input_bytes
        # Twenty samples and more would be due in an inference, each of which takes the bus half a millisecond.
        self.ticks = max(times.values())
        self.period = max(2, self.ticks * 1000 // hz // 20)
        self.due = self.period * hz // 1000
        self.data = self.base + 0x1000
        self.commands.poke(self.base, struct.pack("<II", FREE, self.period))
        self.commands.poke(self.data, bytes(TIMED * self.size))

    def clock(self, at: int) -> PsaCall:
        """One timed inference. The counter's values at its start and end go to `at`."""
        self.commands.poke(self.base + at, struct.pack("<II", 1, 0))
        outputs = [(self.base + at + 0x20, 4), (self.base + at + 0x100, 0x100)]
        return self.handle, LATENCY, [(self.base + at, 8)], outputs

    def timed(self, at: int) -> tuple[int, int]:
        """These values."""
        begin, end = struct.unpack("<QQ", self.commands.peek(self.base + at + 0x100, 16))
        return begin, end

    def samples(self, call: PsaCall) -> tuple[int, int]:
        """The number of samples taken around this call, and the ticks of a slightly longer span.

        Between the calls the device may wait for the host, and idle time passes at once: only its counter tells how
        long that was.
        """
        looks = [
            (self.handle, SAMPLE, [(self.base, 8)], [(self.base + at, SAMPLE_STATE)]) for at in (FIRST_LOOK, LAST_LOOK)
        ]
        self.commands.sample("clear")
        try:
            statuses = self.commands.psa_call_many([self.clock(0x2200), looks[0], call, looks[1], self.clock(0x2400)])
        finally:
            self.commands.sample("stop")
        begun, ended = self.timed(0x2200)[1], self.timed(0x2400)[0]
        if statuses != [0] * 5:
            pytest.skip(f"not covered: the calls do not work ({statuses}), which the suite isolation judges")
        before, after = (
            struct.unpack("<III", self.commands.peek(self.base + at, SAMPLE_STATE))[2] for at in (FIRST_LOOK, LAST_LOOK)
        )
        return int(after) - int(before), ended - begun

    def judge(self, checks: Checks, call: PsaCall, held: Callable[[], float], subject: str) -> None:
        """While the call is done, the model runs for `held` ticks: samples are due in the others only.

        Where the host paused for so long that as many samples may have come anyway, the call is made again.
        """
        for _ in range(TRIES):
            taken, ticks = self.samples(call)
            ran = held()
            most, more = (ticks - ran) / self.due + EDGES, ran / self.due
            if most < more or taken > most:
                break
        else:
            pytest.skip("not covered: the host pauses longer between requests than an inference takes")
        checks(
            NOT_DURING, taken <= most, subject=f"a period of {self.period} ms, {subject}", seen=taken,
            expected=f"at most {most:.0f} samples, {more:.0f} more were due meanwhile",
        )  # fmt: skip


@pytest.mark.needs("models", "psa-call", "probe", "memory-map", "services", "batch")
def test_no_samples_are_taken_during_an_inference(bench: Bench, hurried: Device, checks: Checks) -> None:
    """Calls without a pause between them: sampling begins, a long inference, how many samples there are."""
    beside = Beside(bench, hurried)
    base = beside.base
    request = run_request(nonce=bytes(range(64)))
    beside.commands.poke(base + 0x100, request)

    def inferred() -> float:
        bench.asked_results += 1
        start, end = struct.unpack("<QQ", beside.commands.peek(base + 0x6010, 16))
        return float(end - start)

    run: PsaCall = (
        beside.handle, RUN, [(base + 0x100, len(request)), (beside.data, beside.size)],
        [(base + 0x4000, 3072), (base + 0x6000, 48)],
    )  # fmt: skip
    beside.judge(checks, run, inferred, "an inference with a signed result")
    beside.commands.poke(base + 0x40, struct.pack("<II", TIMED, 0))
    calls: dict[str, PsaCall] = {
        "inferences that are timed": (
            beside.handle, LATENCY, [(base + 0x40, 8)], [(base + 0x7000, 4 * TIMED), (base + 0x7100, 256)]
        ),
        "inferences of a batch": (
            beside.handle, BATCH, [(beside.data, TIMED * beside.size)], [(base + 0x4000, 0x2000)]
        ),
    }  # fmt: skip
    for what, call in calls.items():
        beside.judge(checks, call, lambda: TIMED * beside.ticks, f"{TIMED} {what}")
    taken_during_a_token(bench, beside, checks)


def taken_during_a_token(bench: Bench, beside: Beside, checks: Checks) -> None:
    """Samples do not wait for a signature."""
    service = bench.services.get("attestation")
    if service is None or bench.missing(["psa-token"]):
        return
    commands, base = beside.commands, beside.base
    commands.poke(base, struct.pack("<II", FREE, SHORT))
    commands.poke(base + 0x100, bytes(range(32)))
    token: PsaCall = (service.handle, TOKEN, [(base + 0x100, 32)], [(base + 0x4000, 0x800)])
    ticks = min(commands.psa_call_timed(token)[1][0] for _ in range(2))
    due = int(0.8 * ticks * beside.period / beside.due / SHORT) - EDGES
    if due <= 0:
        pytest.skip("not covered: a token takes no longer than some samples")
    taken, _ = beside.samples(token)
    expected = f"{due} samples at least"
    checks(DURING, taken >= due, expected=expected, seen=taken, subject=f"a period of {SHORT} ms, a token")


@pytest.mark.needs("models", "psa-call", "probe", "memory-map", "services", "batch", "provision", "stats")
def test_no_samples_are_taken_during_a_trace(bench: Bench, hurried: Device, checks: Checks) -> None:
    """In lifecycle *assembly and test*: the one in which there are traces."""
    with bench.provisioned(TRACED):
        beside = Beside(bench, hurried)
        base = beside.base
        beside.commands.poke(base + 0x40, struct.pack("<II", TRACE_ALL, 0))
        vectors = [(base + 0x40, 8), (beside.data, beside.size)]
        trace: PsaCall = (beside.handle, TRACE, vectors, [(base + 0x7000, 0x400)])
        beside.judge(checks, trace, lambda: beside.ticks, "an inference that is traced")
