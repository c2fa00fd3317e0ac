"""The example suite: public API only."""

from __future__ import annotations

import pytest
from tfm_harness import Check, Checks, Device, Stimulus, Verifier

MEAN = Check(id="example.mean", title="the signed mean is the input's", requirement="the example firmware's contract")
SENSOR = Check(id="example.sensor", title="the sensor is read", requirement="the example firmware's contract")


@pytest.mark.needs("infer", "signed-result", "nonce")
@pytest.mark.parametrize("data", [bytes(8), bytes(range(8)), b"\xff" * 8, b"\x80\x7f" * 4])
def test_the_mean_is_signed(device: Device, verifier: Verifier, checks: Checks, data: bytes) -> None:
    result = verifier.result(device.infer_input(data))
    mean, seen = sum(data) // len(data), result.values.get("value")
    checks(MEAN, seen == mean, expected=str(mean), seen=str(seen))


@pytest.mark.needs("stimulus")
@pytest.mark.parametrize("humidity", [0, 0.5, 55, 99.99, 100])
def test_the_sensor_is_read(device: Device, stimulus: Stimulus, checks: Checks, humidity: float) -> None:
    stimulus.set("air", humidity)
    played = stimulus.sample().extra[0]
    seen = device.client.sample()  # type: ignore[attr-defined]  # the example protocol's own
    checks(SENSOR, seen == played, expected=str(played), seen=str(seen))
