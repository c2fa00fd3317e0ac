"""When QEMU's main loop is woken, for writes and resets in every order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from tfm_harness.boards.qemu.wake import Waker


class Held:
    """A console whose other side holds back what was written, until its main loop runs and the firmware listens."""

    def __init__(self) -> None:
        self.writes = 0
        self.held = 0
        self.multiplexer = False

    def unread_by_peer(self) -> bool:
        return bool(self.held)

    def knock(self) -> bool:
        return self.multiplexer


class Emulator:
    """Takes in what is held when it is woken, if the firmware listens."""

    def __init__(self, console: Held) -> None:
        self.console = console
        self.steps: Iterator[float] = iter(())
        self.wakes = 0
        self.listens = True

    def repeat(self, steps: Iterator[float]) -> None:
        self.steps = steps

    def wake(self) -> None:
        self.wakes += 1
        if self.listens:
            self.console.held = 0

    def run(self, most: int = 1000) -> int:
        """Take the steps that there are, `most` at most. How many there were."""
        return sum(1 for _, _ in zip(range(most), self.steps, strict=False))


@pytest.fixture
def console() -> Held:
    return Held()


@pytest.fixture
def emulator(console: Held) -> Emulator:
    return Emulator(console)


@pytest.fixture
def waker(console: Held, emulator: Emulator) -> Waker:
    waker = Waker(cast("Any", emulator), cast("Any", {"ns": console}))
    waker.booted(["ns"])
    return waker


def write(console: Held, waker: Waker, *, taken: bool = False) -> None:
    console.writes += 1
    console.held += not taken
    waker.wrote("ns")


def test_the_first_write_is_delivered_and_later_ones_cost_nothing(
    console: Held, emulator: Emulator, waker: Waker
) -> None:
    write(console, waker)
    emulator.run()
    assert not console.held
    assert emulator.wakes == 1
    for _ in range(5):
        write(console, waker)
    assert emulator.run() == 0
    assert emulator.wakes == 1


def test_it_goes_on_until_the_firmware_listens(console: Held, emulator: Emulator, waker: Waker) -> None:
    emulator.listens = False
    write(console, waker)
    assert emulator.run(50) == 50
    emulator.listens = True
    assert emulator.run() < 3
    assert not console.held


def test_a_multiplexer_is_asked_as_long_as_a_boot_may_take(
    console: Held, emulator: Emulator, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    console.multiplexer = True
    write(console, waker, taken=True)
    assert emulator.run(200) == 200
    monkeypatch.setattr("tfm_harness.boards.qemu.wake.time.monotonic", lambda: float("inf"))
    assert emulator.run() == 0


def test_what_the_boot_before_took_is_not_the_first_write_of_the_new_one(
    console: Held, emulator: Emulator, waker: Waker
) -> None:
    """A write began, the old boot took it, the board was reset and told of it; only then the write's end is told."""
    write(console, waker)
    emulator.run()
    console.writes += 1
    waker.booted(["ns"])
    waker.wake()
    assert emulator.run() == 0  # nothing is held
    waker.wrote("ns")
    emulator.run()
    write(console, waker)
    emulator.run()
    assert not console.held
    emulator.wakes = 0
    write(console, waker)
    assert emulator.run() == 0


def test_what_was_held_back_over_a_reset_is_delivered(console: Held, emulator: Emulator, waker: Waker) -> None:
    write(console, waker)
    emulator.run()
    write(console, waker)  # not told as the first of the boot that it reaches
    waker.booted(["ns"])
    waker.wake()
    emulator.run()
    assert not console.held
