"""The modes of sampling: each does what it says, and other words do nothing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from functools import partial

import pytest
from tfm_harness import Bench, Check, Checks, Device, Refused, Stimulus, Verifier
from tfm_harness.protocol.smp import Command, SampleState, status_of

pytestmark = pytest.mark.needs("infer", "signed-result", "sensor", "stimulus", "sensor-model")

INVALID_ARGUMENT, LONGEST, TRACED = -135, 60_000, 0x1000
WAITED_MS = 60
"""On the device's own counter: thirty samples of 2 ms are due meanwhile, and one of them shows that they come."""

STEPPED_MS, STEPS, AMID = 100, 4, 256

MODES = Check(
    id="sensor.modes",
    title="each mode of sampling does what it says, and other words, periods and keys do nothing",
    requirement="docs/protocol.md, sample",
)


def test_other_words_and_periods_do_nothing(
    device: Device, checks: Checks, stimulus: Stimulus, verifier: Verifier
) -> None:
    """A whole window is there.

    Refused requests, and requests about other things, must not add to it, clear it or start sampling.
    """
    samples = device.fill_window()
    before = device.test_commands.sample("stop")
    words = (
        "",
        "s",
        "ste",
        "steps",
        "Step",
        "STEP",
        "step ",
        " step",
        "fre",
        "freee",
        "clea",
        "cleard",
        "sto",
        "stopp",
        "x",
        "step\x01",
        "x" * 23,
        "clear" * 60,
        "\U0010ffff",
    )
    refused: dict[str, dict[str, object]] = {f"mode {word[:12]!r}": {"mode": word} for word in words}
    refused |= {f"mode {word!r} with a period": {"mode": word, "ms": 5} for word in ("step", "stop", "clear")}
    refused |= {
        f"free with a period of {ms}": {"mode": "free", "ms": ms}
        for ms in (0, LONGEST + 1, 65536, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 5, (1 << 64) - 1)
    }
    refused |= {"free without a period": {"mode": "free"}}
    for subject, arguments in refused.items():
        status = status_of(device.test_commands.ask, Command.SAMPLE, arguments)
        checks.equal(MODES, status, INVALID_ARGUMENT, subject=subject)
        checks.equal(MODES, device.test_commands.sample("stop"), before, subject=f"state after {subject}")
    for subject, ask in device.requests(without=["a sample"]).items():
        ask()
        checks.equal(MODES, device.test_commands.sample("stop"), before, subject=f"state after {subject}")
    verifier.result(device.infer_again(samples), subject="the window is the one of before")


@pytest.mark.needs("free-running", "latency")
def test_each_mode_does_what_it_says(device: Device, checks: Checks, stimulus: Stimulus) -> None:
    test_commands = device.test_commands

    def window(state: SampleState) -> tuple[int, int]:
        return state.window, state.taken - start

    start = test_commands.sample("clear").taken
    checks.equal(MODES, window(test_commands.sample("stop")), (0, 0), subject="after clear")
    for number in (1, 2, 3):
        checks.equal(MODES, window(test_commands.sample("step")), (number, number), subject=f"step {number}")
        stimulus.taken()
    checks.equal(MODES, window(test_commands.sample("clear")), (0, 3), subject="clear keeps the count of samples")
    # The longest period: none comes while a host looks; the same again changes nothing; another one begins anew.
    for subject in ("the longest period", "the longest period again"):
        checks.equal(MODES, window(test_commands.sample("free", ms=LONGEST)), (0, 3), subject=subject)
    test_commands.latency(8)
    checks.equal(MODES, window(test_commands.sample("stop")), (0, 3), subject="the longest period, stopped")
    checks.equal(MODES, window(test_commands.sample("step")), (1, 4), subject="a step after free running")
    stimulus.taken()
    seen = window(test_commands.sample("free", ms=LONGEST))
    checks.equal(MODES, seen, (1, 4), subject="free running goes on from the window that there is")
    test_commands.sample("free", ms=1)
    for _ in range(2000):
        if test_commands.sample("free", ms=1).window >= 4:
            break
    stopped = test_commands.sample("stop")
    checks(MODES, stopped.window >= 4, expected="4 samples at least", seen=stopped.window, subject="a period of 1 ms")
    test_commands.latency(8)
    checks.equal(MODES, test_commands.sample("stop"), stopped, subject="nothing comes after stop")
    test_commands.sample("clear")


@pytest.mark.needs("free-running", "latency")
def test_another_period_takes_the_place_of_the_first(device: Device, checks: Checks, stimulus: Stimulus) -> None:
    """Changes the period without a stop in between, from the longest to the shortest and back."""
    test_commands = device.test_commands
    test_commands.sample("clear")
    before = test_commands.sample("free", ms=LONGEST).taken
    came = any(test_commands.sample("free", ms=1).taken > before for _ in range(3000))
    checks(MODES, came, expected="samples each millisecond", seen="none", subject="the longest period made shorter")
    begun = test_commands.sample("free", ms=LONGEST).taken
    test_commands.latency(8)
    checks.equal(MODES, test_commands.sample("free", ms=LONGEST).taken, begun, subject="a short period made longer")
    test_commands.sample("stop")
    test_commands.sample("clear")


@pytest.mark.thorough
@pytest.mark.needs("free-running", "latency", "models")
def test_free_running_goes_on_after_whatever_else_is_asked(
    bench: Bench, device: Device, checks: Checks, stimulus: Stimulus
) -> None:
    """An inference delays samples; after it they come again, as after every other request."""
    test_commands = device.test_commands
    name = next(entry.name for entry in test_commands.models() if entry.active)
    size = bench.description.input_bytes
    work: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "an inference of the host's input": lambda: device.infer_input(bytes(size)),
        "an inference that is refused": lambda: refused(lambda: device.infer_input(bytes(size + 1))),
        "a series of timings": lambda: test_commands.latency(2),
        "timings that are refused": lambda: refused(lambda: test_commands.latency(1, data=bytes(size + 1))),
        "a batch": lambda: test_commands.ask(Command.BATCH, {"in": bytes(size)}),
        "a batch that is refused": lambda: refused(lambda: test_commands.ask(Command.BATCH, {"in": bytes(size + 1)})),
        "a result of too few samples": lambda: of_too_few_samples(device),
        "a token": device.attest,
        "a signing request": lambda: device.csr("client"),
        "the model selected again": lambda: test_commands.select_model(name),
        "a look at the state": lambda: test_commands.sample("free", ms=2),
        "a stop, and the same period again": lambda: (test_commands.sample("stop"), test_commands.sample("free", ms=2)),
        "a sampling request that is refused": lambda: refused(lambda: test_commands.sample("free", ms=0)),
    }
    work |= {"the window cleared": lambda: test_commands.sample("clear")}
    work |= {"a step": lambda: test_commands.sample("step")}
    others = [entry.name for entry in test_commands.models() if entry.status == 0 and entry.name != name]

    def another_model_between() -> None:
        for chosen in (others[0], name):
            device.select_model(chosen)
            device.infer_input(device.any_input())

    if others:
        work["another model in between"] = another_model_between
    waited = 0 if bench.missing(["hold"]) else WAITED_MS * test_commands.latency(1).hz // 1000
    try:
        for subject, ask in work.items():
            if waited:
                checks(
                    MODES, goes_on(bench, device, stimulus, ask, waited), expected="further samples", seen="none",
                    subject=f"free running after {subject}",
                )  # fmt: skip
                continue
            test_commands.sample("free", ms=2)
            ask()
            before = test_commands.sample("free", ms=2).taken
            came = any(test_commands.sample("free", ms=2).taken > before for _ in range(3000))
            checks(MODES, came, expected="further samples", seen="none", subject=f"free running after {subject}")
        test_commands.sample("free", ms=2)
        full = any(test_commands.sample("free", ms=2).window == bench.window for _ in range(30_000))
        checks(MODES, full, expected="a whole window", seen="less", subject="free running")
        # From here on no samples are asked for: a request would start what has ended.
        for number in (1, 2):
            if number == 1:
                device.infer_input(bytes(size))
            stimulus.set("mag.x", 40.0 + 10 * number)
            digest = hashlib.sha256(stimulus.sample().record() * bench.window).digest()
            seen = any(
                digest in device.infer_again([stimulus.sample()] * bench.window).answer.message for _ in range(400)
            )
            checks(
                MODES, seen, expected="a window of what is played now", seen="an old one", subject=f"change {number}"
            )
    finally:
        test_commands.sample("stop")
        test_commands.sample("clear")


@pytest.mark.thorough
@pytest.mark.needs("free-running", "latency", "hold")
def test_steps_do_not_put_off_what_comes_by_itself(
    bench: Bench, device: Device, checks: Checks, stimulus: Stimulus
) -> None:
    """Makes two requests in each period, for two periods. Steps must not disturb the bus, either."""
    test_commands, size = device.test_commands, bench.description.input_bytes
    run = test_commands.latency(1)
    # So long that no inference hides more than one of the times at which samples are due.
    period = max(STEPPED_MS, -(-8 * 1000 * max(run.ticks) // run.hz))
    asked: dict[str, Callable[[], object]] = {
        "steps": lambda: test_commands.sample("step"),
        "looks at the state": lambda: test_commands.sample("free", ms=period),
        "clears": lambda: test_commands.sample("clear"),
        "inferences": lambda: device.infer_input(bytes(size)),
    }
    hz = run.hz
    for subject, ask in asked.items():
        own = STEPS if subject == "steps" else 0
        before = test_commands.sample("free", ms=period).taken
        try:
            for _ in range(STEPS):
                ask()
                test_commands.ask(Command.HOLD, {"t": period // 2 * hz // 1000})
        finally:
            taken = test_commands.sample("stop").taken - before - own
        due = STEPS // 2 - 1
        words = f"samples of a period of {period} ms, beside {STEPS} {subject}, two in a period"
        checks(MODES, taken >= due, expected=f"at least {due}", seen=taken, subject=words)
    stimulus.set("mag.x", 50.0)
    wanted = hashlib.sha256(stimulus.sample().record() * bench.window).digest()
    test_commands.sample("clear")
    test_commands.sample("free", ms=1)
    seen: set[int] = set()
    try:
        for number in range(AMID):  # each at another part of a millisecond
            test_commands.ask(Command.HOLD, {"t": 1 + number * 7 % 32 * hz // 32_000})
            seen.add(test_commands.sample("step").status)
    finally:
        test_commands.sample("stop")
    checks.equal(MODES, seen, {0}, subject="sensor status of steps amid samples that come by themselves")
    found = wanted in device.infer_again([stimulus.sample()] * bench.window).answer.message
    checks(MODES, found, expected="what is played", seen="something else", subject="the window of steps amid others")
    test_commands.sample("clear")


@pytest.mark.thorough
@pytest.mark.needs("free-running", "latency", "hold", "provision", "stats")
def test_free_running_goes_on_after_a_trace(bench: Bench, device: Device, checks: Checks, stimulus: Stimulus) -> None:
    """In lifecycle *assembly and test*, the one that has traces. Some of the traces are refused."""
    with bench.provisioned(TRACED):
        size = bench.description.input_bytes
        waited = WAITED_MS * device.test_commands.latency(1).hz // 1000
        asked: dict[str, dict[str, object]] = {
            "a trace": {"in": bytes(size)},
            "a trace that is refused for its input": {"in": bytes(size + 1)},
            "a trace that is refused for its operator": {"in": bytes(size), "op": 999},
        }
        for subject, arguments in asked.items():
            trace = partial(device.test_commands.ask, Command.TRACE, arguments)
            came = goes_on(bench, device, stimulus, partial(refused, trace), waited)
            checks(MODES, came, expected="further samples", seen="none", subject=f"free running after {subject}")


def goes_on(bench: Bench, device: Device, stimulus: Stimulus, ask: Callable[[], object], ticks: int) -> bool:
    """Whether free running goes on behind a request, with nothing asked between that could start it again.

    The window is whole before, of one value; while the device waits, another one is played. A device that goes on has
    some of that in its window then.
    """
    test_commands = device.test_commands
    stimulus.set("mag.x", 30.0)
    old = hashlib.sha256(b"".join(sample.record() for sample in device.fill_window())).digest()
    test_commands.sample("free", ms=2)
    ask()
    stimulus.set("mag.x", 60.0)
    test_commands.ask(Command.HOLD, {"t": ticks})
    state = test_commands.sample("stop")
    if state.window < bench.window:  # it was cleared meanwhile
        return state.window > 0
    return old not in device.infer_again([stimulus.sample()] * bench.window).answer.message


def of_too_few_samples(device: Device) -> None:
    """A window that was cleared a moment ago is not full. Behind a slow host it is full again: the next try counts."""
    for _ in range(10):
        device.test_commands.sample("clear")
        try:
            device.infer_again(())
        except Refused:
            return


def refused(ask: Callable[[], object]) -> None:
    """Ask for what may be refused: other suites judge whether it is."""
    with contextlib.suppress(Refused):
        ask()
