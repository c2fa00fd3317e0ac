"""The real sensor path: values to the register bit, sensors unplugged, nothing stale."""

from __future__ import annotations

import random
import time

import pytest
from board_types import Boot
from expected import Identity, verify_sign1, window_digest
from smp_device import Refused

pytestmark = pytest.mark.qemu

BAD_STATE = 137


@pytest.mark.parametrize("icount", [True, False])
def test_the_window_is_what_was_played(boot: Boot, identity: Identity, *, icount: bool) -> None:
    board = boot(icount=icount)
    random_state = random.Random(7)  # noqa: S311 - the same samples in each run

    def counts() -> int:
        return random_state.randrange(2048)

    samples = [(counts(), counts(), counts(), random_state.randrange(-2048, 2048)) for _ in range(80)]
    for at, sample in enumerate(samples, 1):
        board.set_sensors(*sample)
        assert board.device.sample() == {"st": 0, "n": min(at, 32), "seq": at}
        if at >= 32 and at % 16 == 0:
            claims = verify_sign1(board.device.infer(bytes(16))["res"], identity.key(2))
            assert claims[-70003] == window_digest(samples[at - 32 : at])


def test_the_digest_of_another_window_differs(boot: Boot, identity: Identity) -> None:
    """What the test above relies on: one count more in one channel of one sample is another digest."""
    board = boot()
    board.set_sensors(10, 20, 30, 40)
    for _ in range(32):
        board.device.sample()
    claims = verify_sign1(board.device.infer(bytes(16))["res"], identity.key(2))
    played = [(10, 20, 30, 40)] * 32
    assert claims[-70003] == window_digest(played)
    for channel in range(4):
        other = list(played)
        changed = list(played[5])
        changed[channel] += 1
        other[5] = (changed[0], changed[1], changed[2], changed[3])
        assert claims[-70003] != window_digest(other)


@pytest.mark.parametrize("plugged", [(), ("mag",), ("temperature",)])
def test_an_unplugged_sensor_is_reported_and_nothing_is_inferred(boot: Boot, plugged: tuple[str, ...]) -> None:
    device = boot(sensors=plugged).device
    for _ in range(33):
        assert device.sample() == {"st": 1, "n": 0, "seq": 0}
    with pytest.raises(Refused) as refused:
        device.infer(bytes(16))
    assert refused.value.rc == BAD_STATE
    assert device.sample("free", ms=1)["n"] == 0
    assert device.echo("x" * 500) == "x" * 500  # time for the timer
    assert device.sample("stop") == {"st": 1, "n": 0, "seq": 0}


def test_another_device_at_the_address_is_not_believed(boot: Boot) -> None:
    device = boot(sensors=("impostor", "temperature")).device
    assert device.sample() == {"st": 4, "n": 0, "seq": 0}


def test_free_running_is_never_faster_than_its_period(boot: Boot) -> None:
    """By the device's own clock. Slower it may be: what fell due during something else is not taken."""
    device = boot().device
    device.write(13, {"name": "sine"})

    def now() -> int:
        return int(device.write(11, {"n": 1, "warm": 0})["t0"])

    period = 5 * 32_000
    start = now()
    first = device.sample("free", ms=5)["seq"]
    last = first
    end = time.monotonic() + 60
    while last < first + 40:
        assert time.monotonic() < end, "the timer takes no samples"
        last = device.sample("free", ms=5)["seq"]
    assert (last - first - 1) * period <= now() - start


def test_samples_that_take_longer_than_the_period_do_not_stop_the_device(boot: Boot) -> None:
    """The magnetometer alone: each attempt fails late, after more than the millisecond between two of them."""
    device = boot(sensors=("mag",)).device
    device.sample("free", ms=1)
    for _ in range(20):
        assert device.echo("x" * 300) == "x" * 300
    assert device.sample("stop") == {"st": 1, "n": 0, "seq": 0}


def test_sampling_can_be_started_a_hundred_times(boot: Boot) -> None:
    """Compare values of every residue."""
    device = boot().device
    for number in range(100):
        device.sample("free", ms=1 + number % 3)
        device.sample("stop")
    assert device.sample("free", ms=1)["st"] == 0


def test_a_reset_in_the_middle_of_free_running_stops_it(boot: Boot) -> None:
    device = boot().device
    device.sample("free", ms=1)
    device.reset()
    device.wait_ready()
    stopped = device.sample("stop")
    assert stopped == {"st": 0, "n": 0, "seq": 0}
