"""The client against a simulated firmware: needs no recordings."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tfm_harness.console.base import Mark
from tfm_harness.errors import InfrastructureError, ProductError
from tfm_harness.protocol.base import Reboots
from tfm_harness.protocol.zephyr_shell.client import ZephyrShellDriver
from tfm_harness.protocol.zephyr_shell.lines import LineKind
from tfm_harness.protocol.zephyr_shell.parse import hexdumps
from tfm_harness.testing import ScriptedConsole

from tests.protocol.zephyr_shell.simulated import PROMPT, UUID, Simulated

LOG = b"\x1b[8D\x1b[J[00:00:10.123,000] <wrn> app: late\r\n" + PROMPT
SECURE = b"[NV PS COUNTERS] nv_ps_counter_tracker 1\n"


def connect(device: Simulated) -> tuple[ZephyrShellDriver, ScriptedConsole]:
    console = ScriptedConsole(device)
    console.say(device.boot())
    driver = ZephyrShellDriver(console, timeout=5.0, clock=console.clock)
    assert driver.wait_ready(timeout=5).uuid == UUID
    return driver, console


def test_every_boundary_of_a_signed_reply() -> None:
    device = Simulated()
    driver, console = connect(device)
    plain = driver.infer_values("tflm_sine", 45)
    length = len(device(b"infer get tflm_sine CBOR 45\r"))
    for cut in range(1, length):

        def halves(data: bytes, cut: int = cut) -> list[bytes]:
            return [data[:cut], data[cut:]]

        console.chunker = halves
        assert driver.infer_values("tflm_sine", 45) == plain
    console.chunker = lambda data: [data[i : i + 1] for i in range(len(data))]
    assert len(driver.infer(data=struct.pack("<f", 45.0)).message) == 106


def test_noise_in_random_places_of_random_chunks() -> None:
    device = Simulated(weak=False)
    driver, console = connect(device)
    expected = (driver.describe(), driver.infer_values("tflm_sine", 0, 90, 30), driver.public_key("result"))
    rng = random.Random(4)

    def noisy(data: bytes) -> list[bytes]:
        parts, lines = [], data.split(b"\r\n")
        for number, line in enumerate(lines):
            place = rng.randrange(len(line) + 1)
            escapes = b"\x1b" in line
            parts.append(line[:place] + SECURE + line[place:] if rng.random() < 0.4 and not escapes else line)
            if number + 1 < len(lines):
                parts.append(b"\r\n")
        text = b"".join(parts) + (LOG if data.endswith(PROMPT) and rng.random() < 0.5 else b"")
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(30)))
        return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    console.chunker = noisy
    for _ in range(60):
        found = (driver.describe(), driver.infer_values("tflm_sine", 0, 90, 30), driver.public_key("result"))
        assert found == expected
    kinds = {line.kind for line in driver.notes()}
    assert {LineKind.LOG, LineKind.SECURE} <= kinds


@pytest.mark.parametrize("step", [1, 7])
def test_a_reply_cut_anywhere_is_never_an_answer(step: int) -> None:
    device = Simulated()
    driver, console = connect(device)
    length = len(device(b"infer get tflm_sine SIGN1 45\r"))
    for cut in range(0, length - 1, 11 * step):
        console.device = lambda data, cut=cut: device(data)[:cut] if b"SIGN1" in data else device(data)  # type: ignore[misc]
        with pytest.raises((InfrastructureError, ProductError)):
            driver.infer(data=struct.pack("<f", 45.0))


def test_a_reset_in_the_middle() -> None:
    device = Simulated()
    driver, console = connect(device)
    console.device = lambda data: device(data)[:100] + b"\r\n" + device.boot() if b"SIGN1" in data else device(data)
    with pytest.raises(ProductError) as caught:
        driver.infer(data=struct.pack("<f", 45.0))
    assert caught.value.kind == "device-reset"
    assert driver.describe().uuid == UUID


def test_reboot() -> None:
    device = Simulated()
    driver, _ = connect(device)
    driver.infer(data=struct.pack("<f", 45.0))
    assert driver.reboot().uuid == UUID
    assert device.counter == 0


def test_a_reboot_is_no_surprise_to_who_watches_the_board() -> None:
    """The watch is asked during each wait; on an emulator it sees the reset at once."""
    device = Simulated()
    console = ScriptedConsole(device)
    console.say(device.boot())
    asked: list[bool] = []
    inside = False

    @contextmanager
    def expecting() -> Iterator[None]:
        nonlocal inside
        inside = True
        yield
        inside = False

    driver = ZephyrShellDriver(console, timeout=5.0, clock=console.clock, watch=lambda: asked.append(inside))
    assert isinstance(driver, Reboots)
    driver.expecting = expecting
    driver.wait_ready(timeout=5)
    assert asked
    assert not any(asked)
    asked.clear()
    assert driver.reboot().uuid == UUID
    assert asked
    assert all(asked)
    assert not inside


class Hesitant(ScriptedConsole):
    """Delivers a part of what the device says later."""

    later: tuple[float, bytes] | None = None

    def wait_data(self, since: Mark, *, timeout: float) -> bool:
        if (
            self.later
            and not self.waiting
            and len(self.data) <= since.offset
            and self.later[0] <= self.clock.now + timeout
        ):
            (self.clock.now, data), self.later = self.later, None
            self.say(data)
        return super().wait_data(since, timeout=timeout)


def test_a_prompt_that_a_late_log_line_draws_ends_no_reply() -> None:
    """A log line and a new prompt in the middle of a long reply, and half a second of silence behind them."""
    device = Simulated(weak=False)
    console = Hesitant(device)
    console.say(device.boot())
    driver = ZephyrShellDriver(console, timeout=5.0, clock=console.clock)
    driver.wait_ready(timeout=5)
    expected = driver.infer_values("tflm_sine", 0, 90, 30)

    def torn(data: bytes) -> bytes:
        out = device(data)
        place = out.find(b"C Mathlib: Sine of 30")
        if place < 0:
            return out
        console.later = (console.clock.now + 0.5, out[place:])
        return out[:place] + LOG

    console.device = torn
    assert driver.infer_values("tflm_sine", 0, 90, 30) == expected
    console.device = lambda data: data.split(b"\r")[0] + b'\r\nError: invalid argument "x"\r\n\r\n' + PROMPT
    began = console.clock.now
    with pytest.raises(ProductError, match="invalid argument"):
        driver.infer_values("tflm_sine", 0)
    assert console.clock.now - began < 0.5  # a refusal is whole


def test_the_harnesss_own_limits_are_not_the_firmwares() -> None:
    """More lines than are kept of one reply, and a hexdump longer than any that is read."""
    device = Simulated()
    driver, console = connect(device)
    console.device = lambda data: data.split(b"\r")[0] + b"\r\n" + b"babble\r\n" * 20_001 + PROMPT
    with pytest.raises(InfrastructureError, match="20000 lines") as caught:
        driver.session.command("info version", timeout=5)
    assert caught.value.kind == "reply-too-long"
    console.device = device
    driver.wait_ready(timeout=5)  # the device is not lost
    console.device = lambda data: data.split(b"\r")[0] + b"\r\n" + b"babble\r\n" * 20_000 + PROMPT
    assert len(driver.session.command("info version", timeout=5).lines) == 20_000
    row = b"%08X: 00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00 |........ ........|"
    rows = [(row % offset).decode() for offset in range(0, 16_400, 16)]
    assert [len(message) for message in hexdumps(rows[:-1])] == [16_384]
    with pytest.raises(InfrastructureError, match="16384 bytes") as caught:
        hexdumps(rows)
    assert caught.value.kind == "reply-too-long"
