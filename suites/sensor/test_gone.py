"""Sensors that are not there: the secure side says so, and makes no result of old or made-up samples."""

from __future__ import annotations

import pytest
from tfm_harness import (
    Bench,
    Check,
    Checks,
    Device,
    ResetKind,
    Sample,
)
from tfm_harness.protocol.smp import SampleState, status_of

pytestmark = pytest.mark.needs("infer", "signed-result", "sensor", "stimulus", "sensor-model")

BAD_STATE = -137
ABSENT = 1
ASSEMBLY_AND_TEST = 0x1000
GONE = Check(
    id="sensor.gone-is-said",
    title="a sensor that does not answer is reported, and leaves no window to infer from",
    requirement="PSA Security Model 1.1 s.4.5 (integrity of assets); docs/protocol.md, sensor status",
)
FORGOTTEN = Check(
    id="sensor.window-after-reset",
    title="after a reset there is no window, and no result of the one before",
    requirement="docs/protocol.md, infer (PSA_ERROR_BAD_STATE)",
)


@pytest.mark.needs("sensor-removal")
@pytest.mark.parametrize(
    "gone", ["mag", *(pytest.param(gone, marks=pytest.mark.thorough) for gone in ("temp", "both"))]
)
def test_a_sensor_that_is_gone(bench: Bench, device: Device, checks: Checks, gone: str) -> None:
    names = tuple(bench.combination.target.sensors) if gone == "both" else (gone,)
    if not set(names) <= set(bench.combination.target.sensors):
        pytest.skip(f"not covered: the target has no sensor {gone!r}")
    with bench.without_sensors(*names):
        for number in range(4):
            state = device.test_commands.sample("step")
            said_so(checks, state, f"step {number} without {gone}")
            checks.equal(GONE, inference_status(device), BAD_STATE, subject=f"infer after step {number}, {gone} gone")
        if not bench.missing(["free-running"]):
            device.test_commands.sample("free", ms=1)
            for _ in range(50):
                device.test_commands.device_stats()
            state = device.test_commands.sample("stop")
            said_so(checks, state, f"free running without {gone}")
            checks.equal(GONE, inference_status(device), BAD_STATE, subject=f"infer after free running, {gone} gone")
    device.fill_window()  # all of them are there again


@pytest.mark.thorough
@pytest.mark.needs("sensor-removal", "provision")
def test_sensors_that_are_gone_while_boards_are_made(bench: Bench, device: Device, checks: Checks) -> None:
    """In lifecycle *assembly and test* too: made-up samples for boards without sensors go the way of real ones."""
    with bench.provisioned(ASSEMBLY_AND_TEST), bench.without_sensors(*bench.combination.target.sensors):
        said_so(checks, device.test_commands.sample("step"), f"lifecycle {ASSEMBLY_AND_TEST:#06x}")
        checks.equal(GONE, inference_status(device), BAD_STATE, subject=f"infer, lifecycle {ASSEMBLY_AND_TEST:#06x}")


def said_so(checks: Checks, state: SampleState, subject: str) -> None:
    """Absent, nothing counted, no window."""
    checks(GONE, state.status == ABSENT, expected="absent", seen=state.words, subject=subject)
    checks.equal(GONE, (state.window, state.taken), (0, 0), subject=f"{subject}: samples in the window, taken")


def inference_status(device: Device) -> int | None:
    """The status with which an inference of the sensor's window is refused; 0 when it is given."""
    return status_of(device.infer_again, [Sample(0, 0, 0, 0)] * 32)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(ResetKind.WARM, marks=pytest.mark.needs("warm-reset")),
        pytest.param(ResetKind.COLD, marks=pytest.mark.needs("cold-reset")),
    ],
)
def test_no_window_is_left_after_a_reset(device: Device, checks: Checks, kind: ResetKind) -> None:
    device.fill_window()
    checks.equal(FORGOTTEN, inference_status(device), 0, subject="before the reset")
    device.reset(kind)
    state = device.test_commands.sample("stop")
    checks.equal(FORGOTTEN, (state.window, state.taken), (0, 0), subject=f"after a {kind} reset: in the window, taken")
    checks.equal(FORGOTTEN, inference_status(device), BAD_STATE, subject=f"infer after a {kind} reset")
