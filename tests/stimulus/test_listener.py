"""A controller's accesses are understood as transfers, with their acknowledgements."""

from __future__ import annotations

from collections.abc import Iterable

from tfm_harness.stimulus.listener import SCL, SDA, BusListener


class Controller:
    """Moves the lines as a driver does, and looks at them: once at SCL in each clock, and at SDA where it listens."""

    def __init__(self, looks: int = 1) -> None:
        self.listener = BusListener()
        self.looks = looks

    def clock(self, *, high: bool | None) -> None:
        """One bit: sent, or listened to."""
        self.listener.write(4 if high is False else 0, SDA)
        self.listener.write(0, SCL)
        for _ in range(self.looks + (high is None)):
            self.listener.read()
        self.listener.write(4, SCL)

    def start(self) -> None:
        self.listener.write(0, SDA)
        self.listener.write(0, SCL)
        self.listener.read()
        self.listener.write(4, SDA)
        self.listener.write(4, SCL)

    def stop(self) -> None:
        self.listener.write(4, SDA)
        self.listener.write(0, SCL)
        self.listener.read()
        self.listener.write(0, SDA)

    def send(self, byte: int) -> None:
        for bit in range(7, -1, -1):
            self.clock(high=bool(byte >> bit & 1))
        self.clock(high=None)

    def receive(self, *, last: bool) -> None:
        for _ in range(8):
            self.clock(high=None)
        self.clock(high=last)


def written(listener: BusListener) -> list[int]:
    """The bytes that the controller sent."""
    return [slot.value for slot in listener.slots if slot.by_target]


def slots(found: Iterable[object]) -> list[tuple[int, int, bool]]:
    return [(slot.transfer, slot.byte, slot.by_target) for slot in found]  # type: ignore[attr-defined]


def test_a_write_a_repeated_start_and_a_read() -> None:
    bus = Controller()
    bus.start()
    bus.send(0x3C)
    bus.send(0x03)
    bus.start()
    bus.send(0x3D)
    bus.receive(last=False)
    bus.receive(last=True)
    bus.stop()
    heard = bus.listener
    assert heard.transfers == 2
    assert slots(heard.slots) == [
        (1, 0, True), (1, 1, True), (2, 0, True), (2, 1, False), (2, 2, False),
    ]  # fmt: skip
    assert [slot.refused for slot in heard.slots if not slot.by_target] == [False, True]
    assert written(heard) == [0x3C, 0x03, 0x3D]


def test_the_looks_of_an_acknowledgement_are_those_of_its_clock() -> None:
    for looks in (1, 3):
        bus = Controller(looks)
        bus.start()
        bus.send(0x3C)
        bus.send(0x03)
        bus.stop()
        first, second = bus.listener.slots
        assert first.reads == (1 + 8 * looks, 2 + 9 * looks)
        assert second.reads == (2 + 17 * looks, 3 + 18 * looks)


def test_clocks_outside_of_a_transfer_are_no_bytes() -> None:
    bus = Controller()
    for _ in range(9):  # as a controller does that frees a bus
        bus.clock(high=True)
    bus.stop()
    assert bus.listener.slots == []
    assert (bus.listener.transfers, bus.listener.clocks) == (0, 9)
    bus.start()
    bus.send(0x90)
    bus.stop()
    assert slots(bus.listener.slots) == [(1, 0, True)]


def test_a_transfer_that_is_given_up_leaves_nothing_behind() -> None:
    bus = Controller()
    bus.start()
    for _ in range(5):
        bus.clock(high=True)
    bus.stop()
    bus.start()
    bus.send(0x91)
    bus.stop()
    assert slots(bus.listener.slots) == [(2, 0, True)]


def test_the_bus_is_idle_behind_a_stop_with_both_lines_let_go() -> None:
    bus = Controller()
    assert bus.listener.idle
    bus.start()
    assert not bus.listener.idle
    bus.send(0x90)
    assert not bus.listener.idle  # SCL is held low
    bus.listener.write(0, SCL | SDA)
    assert not bus.listener.idle  # SDA rose with SCL: no STOP
    bus.start()
    bus.send(0x90)
    bus.stop()
    assert bus.listener.idle
    bus.listener.write(4, SDA)
    assert not bus.listener.idle
