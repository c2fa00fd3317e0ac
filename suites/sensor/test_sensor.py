"""The secure side reads the sensor itself, and reads what is there: to the register bit."""

from __future__ import annotations

import time

import pytest
from tfm_harness import Check, Checks, Device, Stimulus, Verifier
from tfm_harness.protocol.smp import status_of

pytestmark = pytest.mark.needs("infer", "signed-result", "sensor", "stimulus", "sensor-model")

BAD_STATE = -137

WINDOW_NEEDED = Check(
    id="sensor.window-needed",
    title="no result is given before a whole window has been sampled",
    requirement="docs/protocol.md, infer (PSA_ERROR_BAD_STATE)",
)
FREE_RUNNING = Check(
    id="sensor.free-running",
    title="the secure side fills the window on its own timer",
    requirement="docs/protocol.md, sample",
)


def test_constants_are_read_as_they_are(device: Device, stimulus: Stimulus, verifier: Verifier) -> None:
    for channel, value in (("mag.x", 20.0), ("mag.y", 35.0), ("mag.z", 50.0), ("temp", -12.25)):
        stimulus.set(channel, value)
    verifier.result(device.infer_window())


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"mag.x": 0.0, "mag.y": 0.0, "mag.z": 0.0, "temp": -55.0}, id="lowest"),
        pytest.param({"mag.x": 186.0, "mag.y": 186.0, "mag.z": 208.0, "temp": 127.9375}, id="highest"),
        pytest.param({"mag.x": 58.2, "mag.y": 58.1, "mag.z": 65.3, "temp": 25.0}, id="around-the-bias"),
    ],
)
def test_the_ends_of_the_range(
    device: Device, stimulus: Stimulus, verifier: Verifier, values: dict[str, float]
) -> None:
    for channel, value in values.items():
        stimulus.set(channel, value)
    verifier.result(device.infer_window())


def test_every_sample_of_a_changing_input_is_read(device: Device, stimulus: Stimulus, verifier: Verifier) -> None:
    """Two windows: what is stuck, delayed by a window or read by someone else cannot give both digests."""
    for start in (10.0, 90.0):
        taken = []
        device.test_commands.sample("clear")
        for step in range(32):
            stimulus.set("mag.x", start + step)
            stimulus.set("mag.z", start + 2 * step)
            stimulus.set("temp", 20.0 + step / 4)
            state = device.test_commands.sample("step")
            assert state.status == 0, state.words
            stimulus.taken()
            taken.append(stimulus.expected_samples(1)[0])
        verifier.result(device.infer_again(taken), subject=f"window from {start:g}")
    verifier.relations()


def test_a_window_is_needed(device: Device, stimulus: Stimulus, checks: Checks) -> None:
    device.fill_window(31)
    status = status_of(device.infer_again, stimulus.expected_samples(31))
    checks.equal(WINDOW_NEEDED, status, BAD_STATE)


@pytest.mark.needs("free-running")
def test_free_running_sampling_reads_the_same(
    device: Device, stimulus: Stimulus, verifier: Verifier, checks: Checks
) -> None:
    stimulus.set("mag.y", 77.0)
    stimulus.set("temp", 40.5)
    device.test_commands.sample("clear")
    device.test_commands.sample("free", ms=2)
    deadline = time.monotonic() + 10
    while device.test_commands.device_stats() and time.monotonic() < deadline:
        state = device.test_commands.sample("free", ms=2)
        if state.taken and state.window >= 32:
            break
    state = device.test_commands.sample("stop")
    if checks(FREE_RUNNING, state.window == 32, expected="32 samples", seen=f"{state.window}, {state.words}"):
        verifier.result(device.infer_again([stimulus.sample()] * 32))
