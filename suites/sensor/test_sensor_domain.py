"""The sensor path over its whole domain: every bit, every order, every rate, the front-end."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tfm_harness import (
    LSM303DLHC,
    TMP105,
    Axis,
    Bench,
    Check,
    Checks,
    ClockQuality,
    ConfigError,
    Device,
    Reference,
    Sample,
    Stimulus,
    Verifier,
)

if TYPE_CHECKING:
    import numpy.typing as npt

pytestmark = pytest.mark.needs("infer", "signed-result", "sensor", "stimulus", "sensor-model")

LOWEST_TEMPERATURE = -880  # -55 degC, the least that a TMP105 is made for

COUNTED = Check(
    id="sensor.every-sample-counted",
    title="each sample taken is counted once, also when its value is that of the one before",
    requirement="docs/protocol.md, sample",
)
RATE = Check(
    id="sensor.rate",
    title="free-running samples come at the period that was asked for",
    requirement="docs/protocol.md, sample",
)
DISCRIMINATES = Check(
    id="sensor.frontend-discriminated",
    title="for each wrong front-end there is a window whose result it would change",
    requirement="tfm-harness: numbers that any front-end gives prove nothing",
    waivable=False,
)


def put(stimulus: Stimulus, sample: Sample) -> None:
    """Let the sensors read these counts.

    Raises:
        ConfigError: ``stimulus-range``: the stimulus cannot play them.
    """
    axes: tuple[Axis, ...] = ("x", "y", "z")
    for axis in axes:
        stimulus.set(f"mag.{axis}", LSM303DLHC.nanotesla(axis, getattr(sample, axis)) / 1000)
    stimulus.set("temp", TMP105.millidegrees(sample.t) / 1000)


def step(device: Device, stimulus: Stimulus, sample: Sample) -> Sample:
    """One sample of these counts; what must have been read."""
    put(stimulus, sample)
    state = device.test_commands.sample("step")
    assert state.status == 0, state.words
    stimulus.taken()
    return stimulus.expected_samples(1)[0]


def window(device: Device, stimulus: Stimulus, samples: Sequence[Sample], verifier: Verifier, subject: str) -> None:
    """Sample these, and have the result of the last 32 verified."""
    device.test_commands.sample("clear")
    taken = [step(device, stimulus, sample) for sample in samples]
    verifier.result(device.infer_again(taken[-32:]), subject=subject)


def corners(lowest: int, highest: int) -> list[int]:
    """Both ends, zero, and every power of two with its neighbours, both signs."""
    found = {lowest, lowest + 1, highest, highest - 1, 0}
    found |= {sign * ((1 << bit) + more) for bit in range(12) for more in (-1, 0, 1) for sign in (1, -1)}
    return sorted(value for value in found if lowest <= value <= highest)


def in_windows(fields: Sequence[Sequence[int]], temperatures: Sequence[int]) -> Iterator[list[Sample]]:
    """Windows in which each axis and the thermometer show all their values, each in an order of its own."""
    rng = random.Random(5)  # noqa: S311 - the same order every time
    length = -(-max(map(len, (*fields, temperatures))) // 32) * 32
    columns = []
    for values in (*fields, temperatures):
        column = [values[n % len(values)] for n in range(length)]
        rng.shuffle(column)
        columns.append(column)
    samples = [Sample(*counts) for counts in zip(*columns, strict=True)]
    for at in range(0, length, 32):
        yield samples[at : at + 32]


def test_every_bit_of_every_channel_is_read(device: Device, stimulus: Stimulus, verifier: Verifier) -> None:
    """The last bit's resolution, the edge of every bit, and both ends; negative temperatures too."""
    fields = [corners(0, 2047)] * 3
    for number, samples in enumerate(in_windows(fields, corners(LOWEST_TEMPERATURE, 2047))):
        window(device, stimulus, samples, verifier, f"window {number}")


def test_negative_fields_are_read_with_their_sign(device: Device, stimulus: Stimulus, verifier: Verifier) -> None:
    try:
        put(stimulus, Sample(-1, -1, -1, 0))
    except ConfigError as error:
        pytest.skip(f"not covered: this stimulus plays no negative fields ({error.message})")
    for number, samples in enumerate(in_windows([corners(-2048, 2047)] * 3, corners(LOWEST_TEMPERATURE, 2047))):
        window(device, stimulus, samples, verifier, f"window {number}")


@pytest.mark.parametrize(
    "count", [45, *(pytest.param(count, marks=pytest.mark.thorough) for count in (33, 63, 64, 65, 100))]
)
def test_the_order_after_more_samples_than_the_window_holds(
    device: Device, stimulus: Stimulus, verifier: Verifier, count: int
) -> None:
    samples = [Sample(100 + n, 900 - n, 200 + 3 * n, 300 + n) for n in range(count)]
    window(device, stimulus, samples, verifier, f"{count} samples")


def test_equal_samples_are_counted(device: Device, stimulus: Stimulus, checks: Checks) -> None:
    test_commands = device.test_commands
    test_commands.sample("clear")
    put(stimulus, Sample(640, 640, 640, 400))
    before = test_commands.sample("stop").taken
    for number in range(1, 41):
        state = test_commands.sample("step")
        stimulus.taken()
        checks.equal(
            COUNTED, (state.taken - before, state.window), (number, min(number, 32)), subject=f"sample {number}"
        )
    for mode in ("stop", "clear"):
        state = test_commands.sample(mode)
        checks.equal(COUNTED, state.taken - before, 40, subject=f"after {mode}")
    checks.equal(COUNTED, state.window, 0, subject="window after clear")


def test_a_sample_more_changes_the_window(device: Device, stimulus: Stimulus, verifier: Verifier) -> None:
    """33 samples that differ in the first and in the last only: what is dropped, and what comes in."""
    same = Sample(640, 640, 640, 400)
    first, last = Sample(100, 200, 300, 16), Sample(1000, 900, 800, 800)
    window(device, stimulus, [first, *[same] * 31], verifier, "the first is in the window")
    window(device, stimulus, [first, *[same] * 31, last], verifier, "the first is out, the last is in")


@pytest.mark.needs("free-running", "latency")
@pytest.mark.parametrize("period", [7, *(pytest.param(period, marks=pytest.mark.thorough) for period in (3, 19, 44))])
def test_samples_come_at_the_period_asked_for(
    bench: Bench, device: Device, stimulus: Stimulus, checks: Checks, period: int
) -> None:
    """By the host's time never too many; by the device's own counter neither too many nor too few.

    On an emulator whose counter follows the host's time, a stall of the host makes the device miss samples, and says
    nothing about it. So too few are judged by counted instructions, with idle time passing at once; where idle time
    still passes at the host's pace, what its stalls may have cost is allowed for.

    A coarser timer would round some of these periods: one of 4, 5, 8 or 10 ms, down or to the nearest.
    """
    put(stimulus, Sample(640, 640, 640, 400))
    clock = bench.combination.target.clock
    hz = clock.hz if clock is not None else bench.description.clock_hz or 1
    follows_host = bench.board.clock_quality is ClockQuality.DETERMINISTIC
    if not follows_host:
        enough = ENOUGH if bench.missing(["clock-control"]) else FIRST_LOOK
        found = Sampled.measured(bench, period, hz, 0, enough=enough, paced=True)
        most = 1.05 * found.host + 2
        checks(
            RATE,
            found.taken <= most,
            expected=f"at most {most:.1f}",
            seen=f"{found.taken} samples",
            subject="by the host",
        )
    with bench.exact_clock() as exact:
        if not exact:
            return
        put(stimulus, Sample(640, 640, 640, 400))
        for attempt in range(ATTEMPTS):
            found = Sampled.measured(bench, period, hz, 0.5 * attempt, follows_host=follows_host)
            many = 1.05 * found.most + 2
            if found.taken > many or not found.disturbed:
                break
        else:
            pytest.skip(f"not covered: {found.disturbed}, {ATTEMPTS} times")
        few = 0.95 * found.least - found.missed - 2
        checks(
            RATE,
            few <= found.taken <= many,
            expected=f"{few:.1f} to {many:.1f} (due: {found.least:.1f} to {found.most:.1f})",
            seen=f"{found.taken} samples",
            subject="by the counter",
        )


ATTEMPTS = 10
ENOUGH = 100
"""Samples due in the time of a look, so that two more or less are few."""
FIRST_LOOK = 40
"""As many, by the host's time, where the device's own counter is looked at more closely afterwards."""
LOOKS = 64  # between two at the number of samples


@dataclass(frozen=True)
class Sampled:
    """Samples of a while of free running, between two looks at their number."""

    taken: int
    least: float
    """Samples due in the time that surely lies between the two looks, by the device's counter."""
    most: float
    """Samples due in the time in which both looks surely lie, by the device's counter."""
    host: float
    """The same by the host's clock."""
    missed: float
    """Samples at most that the host's stalls may have cost."""

    @classmethod
    def measured(
        cls,
        bench: Bench,
        period: int,
        hz: int,
        least: float,
        *,
        enough: int = ENOUGH,
        follows_host: bool = False,
        paced: bool = False,
    ) -> Sampled:
        """Sample freely for at least that many seconds of the host and for 1.2 times `enough` periods.

        Where the device's idle time passes at once, four times as many samples come sooner.

        Args:
            bench: its device samples by itself meanwhile, and no more at the end.
            period: of the samples, milliseconds.
            hz: of the device's counter.
            least: seconds.
            enough: samples due, so that two more or less are few.
            follows_host: the device's time stands still, or jumps, where the host's does.
            paced: ask for something twice a period only, where the time between the looks does not count.
        """
        test_commands = bench.device.test_commands
        test_commands.sample("clear")
        test_commands.sample("free", ms=period)
        due, seconds = period * hz / 1000, period / 1000
        before = test_commands.latency(1).end
        began = time.monotonic()
        first = test_commands.sample("free", ms=period)
        inside = test_commands.latency(1).end
        looks = [time.monotonic()]
        while looks[-1] - began < max(least, 1.2 * enough * seconds):
            if paced:
                bench.let_run(seconds / 2)
            test_commands.device_stats()
            looks.append(time.monotonic())
            if len(looks) % LOOKS or paced or looks[-1] - began < least:
                continue
            if test_commands.sample("free", ms=period).taken - first.taken > 4 * enough:
                break
        behind = test_commands.latency(1)
        looks.append(time.monotonic() - (behind.end - behind.start) / hz)
        last = test_commands.sample("free", ms=period)
        ended = time.monotonic()
        after = test_commands.latency(1).start
        test_commands.sample("stop")
        stalls = sum(max(0.0, later - look - seconds) for look, later in itertools.pairwise(looks))
        return cls(
            taken=last.taken - first.taken,
            least=(behind.start - inside) / due,
            most=(after - before) / due,
            host=(ended - began) / seconds,
            missed=stalls / seconds if follows_host else 0.0,
        )

    @property
    def disturbed(self) -> str:
        """Why this says too little about the device; empty: it does not."""
        if self.least < ENOUGH:
            return f"the device's counter went on by {self.least:.0f} periods only"
        if self.most > 1.05 * self.least:
            return f"looking took the time of {self.most - self.least:.0f} samples of {self.most:.0f}"
        if self.missed > 0.03 * self.least:
            return f"stalls of the host may have cost {self.missed:.0f} samples of {self.least:.0f}"
        return ""


# --- the front-end ---------------------------------------------------------------------------------------------------

Frontend = Callable[["npt.NDArray[Any]"], "npt.NDArray[Any]"]
CANDIDATES = 600


def wrong_frontends() -> dict[str, Frontend]:
    """Front-ends that are wrong in one thing."""
    import numpy as np

    bias, shift = np.array([640, 640, 640, 400]), np.array([2, 2, 2, 1])

    def rule(
        *,
        bias: npt.NDArray[Any] = bias,
        shift: npt.NDArray[Any] = shift,
        half: npt.NDArray[Any] | int | None = None,
        low: int = -128,
        high: int = 127,
        before: Frontend = lambda raw: raw,
        wraps: bool = False,
    ) -> Frontend:
        def frontend(raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
            rounding = 1 << (shift - 1) if half is None else half
            q = (before(raw.astype(np.int64)) - bias + rounding) >> shift
            clipped: npt.NDArray[Any] = q if wraps else np.clip(q, low, high)
            return clipped.astype(np.int8)

        return frontend

    one = np.eye(4, dtype=np.int64)
    found = {
        "clips at -127": rule(low=-127),
        "clips at 126": rule(high=126),
        "does not round": rule(half=0),
        "rounds a half down": rule(half=(1 << (shift - 1)) - 1),
        "wraps around": rule(wraps=True),
        "reads the last sample first": rule(before=lambda raw: raw[..., ::-1, :]),
        "swaps x and y": rule(before=lambda raw: raw[..., [1, 0, 2, 3]]),
        "swaps y and z": rule(before=lambda raw: raw[..., [0, 2, 1, 3]]),
        "drops the sign": rule(before=abs),
        "shows z as x": rule(before=lambda raw: raw[..., [2, 1, 2, 3]]),
        "loses the last bit": rule(before=lambda raw: raw & ~1),
    }
    for channel, name in enumerate("xyzt"):
        found[f"bias of {name} one less"] = rule(bias=bias - one[channel])
        found[f"bias of {name} one more"] = rule(bias=bias + one[channel])
        found[f"scale of {name} halved"] = rule(shift=shift + one[channel])
    return found


AT_A_TIME = 64
"""Windows that are tried together."""


def candidates() -> npt.NDArray[Any]:
    """Windows of counts: around the bias, at the ends where values are clipped, and over the whole range."""
    import numpy as np

    rng = np.random.default_rng(11)
    low, high = np.array([0, 0, 0, LOWEST_TEMPERATURE]), np.array([2047, 2047, 2047, 2047])
    bias, reach = np.array([640, 640, 640, 400]), np.array([512, 512, 512, 256])
    spread = rng.choice([0.05, 0.3, 1.0, 1.2, 4.0], (CANDIDATES, 1, 1))
    centre = rng.choice([-1.0, 0.0, 1.0], (CANDIDATES, 1, 4))
    drawn = bias + centre * reach + spread * reach * rng.uniform(-1, 1, (CANDIDATES, 32, 4))
    counts: npt.NDArray[Any] = np.clip(drawn.round(), low, high)
    return counts.astype(np.int64)


def test_the_front_end_is_the_references_over_its_whole_domain(
    bench: Bench, device: Device, stimulus: Stimulus, verifier: Verifier, reference: Reference, checks: Checks
) -> None:
    """Windows chosen so that each wrong front-end would change the result of at least one of them."""
    import numpy as np
    from tfm_harness.parity import window_tensor

    name = bench.description.model
    if name is None or bench.combination.build.models[name].frontend != "reference":
        pytest.skip("not covered: the active model has another front-end than the reference firmware's")
    model, info = reference.model(name)
    windows = candidates()

    def outputs(frontend: Frontend, some: npt.NDArray[Any]) -> npt.NDArray[Any]:
        tensors = np.ascontiguousarray(frontend(some)).reshape(-1, *info.inputs[0].shape)
        found = reference.engine.run(model, [tensors], name=info.name)
        return np.concatenate([output.reshape(len(some), -1) for output in found], axis=1)

    right = outputs(window_tensor, windows)
    chosen: dict[int, list[str]] = {}
    for words, frontend in wrong_frontends().items():
        for at in range(0, len(windows), AT_A_TIME):  # most are told by one of the first
            wrong = outputs(frontend, windows[at : at + AT_A_TIME])
            telling = at + np.flatnonzero((wrong != right[at : at + AT_A_TIME]).any(axis=1))
            if len(telling):
                break
        checks(
            DISCRIMINATES,
            len(telling) > 0,
            expected=f"one of {len(windows)} windows",
            seen="none",
            subject=f"a front-end that {words}",
        )
        if len(telling):
            known = next((index for index in telling if int(index) in chosen), telling[0])
            chosen.setdefault(int(known), []).append(words)
    for index, told in chosen.items():
        samples = [Sample(*(int(count) for count in counts)) for counts in windows[index]]
        device.test_commands.sample("clear")
        inference = device.infer_again([step(device, stimulus, sample) for sample in samples])
        subject = f"window {index}, which tells a front-end that {'; '.join(told)}"
        verifier.result(inference, subject=subject)
        reference.matches(inference, subject=subject)
