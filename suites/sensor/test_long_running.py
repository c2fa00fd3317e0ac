"""Free running over hours, and beside long work, on a clock whose idle time passes at once: hours are seconds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

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
RUN, SAMPLE, LATENCY, FREE = 3, 2, 7, 1
"""Message types and the mode of docs/protocol.md and tfm_inference_defs.h."""
TIMED = 2

LONG_RUNS = Check(
    id="sensor.long-runs",
    title="samples come at the period asked for, to the longest one, and after hours as in the first minute",
    requirement="docs/protocol.md, sample (period 1 to 60000 ms)",
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
    """From short periods to the longest one; then, hours later, a short one again."""
    test_commands = hurried.test_commands
    hz = test_commands.latency(1).hz
    for number, period in enumerate((20, 1000, 7001, LONGEST, 5)):
        test_commands.sample("clear")
        begun = test_commands.sample("free", ms=period)
        checks.equal(LONG_RUNS, begun.window, 0, subject=f"{period} ms: samples before the first period has passed")
        before = test_commands.latency(1).end
        first = test_commands.sample("free", ms=period).taken
        inside = test_commands.latency(1).end
        goal = first + ENOUGH
        try:
            done = any(test_commands.sample("free", ms=period).taken >= goal for _ in range(LOOKS))
        except ProductError as error:
            subject = f"{period} ms, {before // hz} s after the start"
            checks(LONG_RUNS, False, expected=f"{ENOUGH} samples", seen=error.message, subject=subject)
            raise
        behind = test_commands.latency(1).start
        last = test_commands.sample("free", ms=period).taken
        after = test_commands.latency(1).start
        test_commands.sample("stop")
        subject = f"{period} ms, {before // hz} s after the start" + (" (after all others)" if number == 4 else "")
        if not checks(
            LONG_RUNS, done, expected=f"{ENOUGH} samples", seen=f"{last - first} after {LOOKS} looks", subject=subject
        ):
            continue
        due = period * hz / 1000
        few, many = 0.9 * (behind - inside) / due - 4, 1.05 * (after - before) / due + 2
        checks(
            LONG_RUNS, few <= last - first <= many, expected=f"{few:.0f} to {many:.0f} samples", seen=last - first,
            subject=subject,
        )  # fmt: skip


FRAME = struct.Struct("<QQ")
"""Begin and end of what a latency call timed, first in its second output; samples between them are not taken."""
TRIES = 5


@dataclass
class Calls:
    """Raw calls without a pause between them, but for those that a busy host makes: these are measured.

    Free running, with `period` ms between samples: a latency call, a look at how many samples there are, `work`, a
    second look, a latency call. Between these two all time but the work's own is time for samples.
    """

    device: Device
    handle: int
    base: int

    def clock(self, at: int, count: int = 1) -> PsaCall:
        """`count` inferences that are timed; the counter's values go to `at`."""
        self.device.test_commands.poke(self.base + at, struct.pack("<II", count, 0))
        return (
            self.handle, LATENCY, [(self.base + at, 8)],
            [(self.base + at + 0x20, 4 * count), (self.base + at + 0x100, 0x100)],
        )  # fmt: skip

    def timed(self, at: int) -> tuple[int, int]:
        """Begin and end, in ticks, of what the call of `clock` there timed."""
        begin, end = FRAME.unpack(self.device.test_commands.peek(self.base + at + 0x100, FRAME.size))
        return begin, end

    def beside(self, period: int, work: PsaCall) -> tuple[list[int], int, int, int]:
        """Statuses; samples that came between the looks; ticks when the one clock ended and the other began."""
        base = self.base
        self.device.test_commands.poke(base, struct.pack("<II", FREE, period))
        looks = [(self.handle, SAMPLE, [(base, 8)], [(base + at, 12)]) for at in (0x40, 0x60)]
        calls = [self.clock(0x2000), looks[0], work, looks[1], self.clock(0x2400)]
        statuses = self.device.test_commands.psa_call_many(calls)
        self.device.test_commands.sample("stop")
        self.device.test_commands.sample("clear")
        before, after = (struct.unpack("<III", self.device.test_commands.peek(base + at, 12))[2] for at in (0x40, 0x60))
        return statuses, after - before, self.timed(0x2000)[1], self.timed(0x2400)[0]


@pytest.mark.needs("models", "psa-call", "probe", "memory-map", "services", "batch")
def test_no_samples_are_taken_during_an_inference(bench: Bench, hurried: Device, checks: Checks) -> None:
    """Sampling begins, a long inference, how many samples there are; the same with inferences that are timed."""
    scratch, service = bench.memory_map.scratch, bench.services.get("inference")
    if scratch is None or service is None:
        pytest.skip("not covered: no non-secure RAM for tests, or no inference service with the documented calls")
    test_commands, base = hurried.test_commands, scratch[0]
    times: dict[str, int] = {}
    for entry in test_commands.models():
        if entry.status == 0 and entry.name in bench.combination.build.models:
            hurried.select_model(entry.name)
            times[entry.name] = min(test_commands.latency(2).ticks)
    hurried.select_model(max(times, key=lambda name: times[name]))
    hz, size = test_commands.latency(1).hz, bench.description.input_bytes
    # Twenty samples and more would be due, each of which takes the bus half a millisecond.
    period = max(2, max(times.values()) * 1000 // hz // 20)
    due = period * hz / 1000
    request = run_request(nonce=bytes(range(64)))
    test_commands.poke(base + 0x100, request)
    test_commands.poke(base + 0x1000, bytes(size))
    calls = Calls(hurried, service.handle, base)
    run = (
        service.handle, RUN, [(base + 0x100, len(request)), (base + 0x1000, size)],
        [(base + 0x4000, 3072), (base + 0x6000, 48)],
    )  # fmt: skip
    for subject, work in {"": run, f", {TIMED} inferences that are timed": calls.clock(0x2800, TIMED)}.items():
        for _ in range(TRIES):
            test_commands.sample("clear")
            statuses, seen, begun, ended = calls.beside(period, work)
            bench.asked_results += work is run and statuses[2] >= 0
            if statuses != [0] * 5:
                pytest.skip(f"not covered: the calls do not work ({statuses}), which the suite isolation judges")
            if work is run:
                start, end = struct.unpack("<6Q", test_commands.peek(base + 0x6000, 48))[2:4]
            else:
                start, end = calls.timed(0x2800)
            during, most = (end - start) / due, (start - begun + ended - end) / due + 2
            if most < during or seen > most:
                break
        else:
            pytest.skip("not covered: the host pauses longer between requests than an inference takes")
        checks(
            NOT_DURING, seen <= most, subject=f"a period of {period} ms{subject}", seen=seen,
            expected=f"at most {most:.0f} samples, {during:.0f} more were due during the work",
        )  # fmt: skip
