"""No key, no sample and no piece of a model appears in anything that comes out of the board."""

from __future__ import annotations

import pytest
from tfm_harness import (
    LSM303DLHC,
    TMP105,
    Axis,
    Bench,
    Burned,
    Checks,
    Device,
    Sample,
    SecretSearch,
    SecretWork,
    Stimulus,
    VirtualBoard,
    make_otp,
)
from tfm_harness.verify import SampleValues, Secret

pytestmark = pytest.mark.needs("infer", "describe")

AXES: tuple[Axis, ...] = ("x", "y", "z")
EXTREMES = (
    Sample(2047, 1234, 1567, 1871), Sample(1357, 2047, 1111, -777), Sample(1471, 1589, 2047, 2047),
    Sample(1003, 1777, 1201, -880), Sample(0, 1913, 1087, 1999),
)  # fmt: skip
"""Counts at the ends of a channel's range, the others with values of their own."""


@pytest.mark.needs("known-secrets")
def test_no_key_appears_in_an_output(bench: Bench, work: SecretWork, search: SecretSearch) -> None:
    work.keys()
    search.outputs([(SecretSearch.SECRET_OUT, work.secrets())], marked=work.known_keys())


@pytest.mark.needs("known-secrets", "provision", "cold-reset")
@pytest.mark.parametrize("places", [(0x2F,), pytest.param((0x00, 0x08, 0xE0), marks=pytest.mark.thorough)], ids=str)
def test_no_key_appears_when_the_fuses_are_damaged(
    bench: Bench, device: Device, virtual: VirtualBoard, checks: Checks, places: tuple[int, ...]
) -> None:
    """The device may say that its fuses are damaged; it must not print what is in them."""
    work = SecretWork(bench, device, start=False)
    huk = bytes((151 * n + 43) & 0xFF for n in range(32))
    whole = make_otp(huk=huk, lifecycle=0x3000, implementation_id=bytes(range(32)))
    search = SecretSearch(work, checks)
    secrets = [Secret(name="the hardware unique key in damaged fuses", data=huk)]
    with search.beside(), virtual.fuses() as burn:
        for at in places:
            burn(Burned(otp=whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]), answers=False)
            bench.answers()
            search.outputs([(SecretSearch.SECRET_OUT, secrets)], marked=secrets, newest=True)


@pytest.mark.needs("sensor", "stimulus", "sensor-model")
def test_no_sample_appears_in_an_output(work: SecretWork, stimulus: Stimulus, search: SecretSearch) -> None:
    work.sensor(stimulus)
    with search.beside():  # output from before the cold start is older than these samples
        search.outputs([(SecretSearch.SENSOR_OUT, work.sensor_secrets())], newest=True)
        search.lines(work.samples, newest=True)


@pytest.mark.thorough
@pytest.mark.needs("sensor", "stimulus", "sensor-model")
@pytest.mark.parametrize(
    "gone", ["none", *(pytest.param(name, marks=pytest.mark.needs("sensor-removal")) for name in ("mag", "temp"))]
)
def test_no_sample_appears_when_something_is_wrong_with_it(
    bench: Bench, work: SecretWork, stimulus: Stimulus, search: SecretSearch, gone: str
) -> None:
    """Readings at both ends of the range, and readings of one sensor while the other one is missing.

    A developer may once have printed these for debugging.
    """
    if gone not in {"none", *bench.combination.target.sensors}:
        pytest.skip(f"not covered: the target has no sensor {gone!r}")

    def sampled() -> None:
        test_commands = work.device.test_commands
        values = []
        for sample in EXTREMES:
            for axis in AXES:
                stimulus.set(f"mag.{axis}", LSM303DLHC.nanotesla(axis, getattr(sample, axis)) / 1000)
            stimulus.set("temp", TMP105.millidegrees(sample.t) / 1000)
            state = test_commands.sample("step")
            if state.status == 0:
                stimulus.taken()
            values.append(SampleValues((sample.x, sample.y, sample.z, sample.t)))
        if not bench.missing(["free-running"]):
            test_commands.sample("free", ms=1)
            test_commands.latency(1)
            test_commands.sample("stop")
        search.lines(values)

    if gone == "none":
        sampled()
    else:
        with bench.without_sensors(gone):
            sampled()


@pytest.mark.needs("models")
def test_no_piece_of_the_model_appears_in_an_output(bench: Bench, work: SecretWork, search: SecretSearch) -> None:
    work.keys()
    active = bench.description.model
    if active is None or active not in bench.combination.build.models:
        pytest.skip("not covered: the build names no file of the active model")
    search.outputs([(SecretSearch.MODEL_OUT, work.models(active))])
