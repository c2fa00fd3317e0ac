"""Boots with an instruction left out, on a CPU of a few lines that has every kind of end."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

import pytest
from tfm_harness.bench.skips import Came, SkippedBoot, Tally, reached
from tfm_harness.boards.emulated_cpu import Debugger
from tfm_harness.verify.instruction_skips import Skip, plan
from tfm_harness.verify.marked_code import Instruction, MarkedCode

START, HALT, RESET, IMAGE = 0x100, 0x180, 0x1C0, 0x8000
# address: where the CPU goes on; a boot that refuses takes the branch at 0x104
WAY = {0x100: 0x102, 0x102: 0x104, 0x104: 0x10A, 0x106: 0x108, 0x108: IMAGE, 0x10A: HALT, 0x10C: RESET, 0x10E: 0x10E}


class Cpu:
    """A `Debugger` on a CPU of instructions of 2 bytes; `worked` grows while it runs to no end."""

    def __init__(self) -> None:
        self.pc, self.xpsr = START, 0x01000000
        self.breaks: set[int] = set()
        self.worked = 0.0
        self.restarts = 0
        self.stopped = True

    def open(self) -> None: ...
    def close(self) -> None: ...
    def halt(self) -> None: ...

    def break_at(self, address: int) -> None:
        self.breaks.add(address)

    def clear(self, address: int) -> None:
        self.breaks.discard(address)

    def go(self) -> None:
        for _ in range(50):
            self.pc = WAY.get(self.pc, self.pc)
            self.stopped = self.pc in self.breaks
            if self.stopped:
                return
        self.worked += 0.3

    def wait(self, timeout: float) -> bool:
        return self.stopped

    def step(self) -> None: ...

    def jump(self, address: int, xpsr: int) -> None:
        self.pc, self.xpsr = address, xpsr

    def read(self, address: int, size: int) -> bytes:
        assert 0 <= address < 1 << 32
        if address >> 16:
            return b""  # no memory answers there
        if self.pc >= IMAGE and address < IMAGE and not self.stays_secure:
            return b""  # a non-secure CPU sees no secure memory
        return b"\x30\xbf" if address == 0x10E and self.asleep else bytes(size)

    def write(self, address: int, data: bytes) -> None: ...

    def restart(self) -> None:
        self.pc = START - 2
        WAY[START - 2] = START
        self.restarts += 1

    def work_done(self) -> float:
        return self.worked

    asleep = stays_secure = False


@pytest.fixture
def code() -> MarkedCode:
    functions = {at: Instruction(at, 2, 0, "decide") for at in range(0x100, 0x110, 2)}
    return MarkedCode(("decide",), functions, {}, (), b"")


def boot(cpu: Cpu, code: MarkedCode, prepared: list[int]) -> SkippedBoot:
    return SkippedBoot(
        cpu,
        code,
        ends={HALT: Came.REFUSED, RESET: Came.STOPPED, IMAGE: Came.BYPASSED},
        foreign=range(IMAGE + 2, IMAGE + 0x1000),
        prepare=lambda: prepared.append(cpu.restarts),
    )


def test_each_skip_comes_to_its_end(code: MarkedCode) -> None:
    cpu, tally = Cpu(), Tally()
    prepared: list[int] = []
    run = boot(cpu, code, prepared)
    assert run.plain() is Came.REFUSED
    visits = run.visits()
    assert visits == {0x100: 1, 0x102: 1, 0x104: 1, 0x10A: 1}
    came = {}
    for skip in plan(code, visits):
        came[skip] = run.attempt(skip)
        tally.add(skip, came[skip])
    assert {skip for skip, end in came.items() if end is Came.BYPASSED} == {
        Skip(0x102, 2), Skip(0x104, 1), Skip(0x104, 2),
    }  # fmt: skip
    assert came[Skip(0x10A, 1)] is Came.STOPPED, "behind the branch to the halt comes a reset"
    assert came[Skip(0x10A, 2)] is Came.STOPPED, "no end: it hangs"
    assert came[Skip(0x100, 1)] is Came.REFUSED
    assert run.attempt(Skip(0x106, 1)) is Came.UNREACHED
    assert run.attempt(Skip(0x100, 1, visit=2)) is Came.UNREACHED
    assert prepared == list(range(1, cpu.restarts + 1)), "each boot begins prepared"
    assert str(tally) == "8 skips at 4 addresses: 3 refused, 2 stopped, 3 bypassed"


def test_a_cpu_found_in_foreign_code_has_accepted_it(code: MarkedCode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAY, 0x108, IMAGE + 0x10)  # not through the reset handler
    assert boot(Cpu(), code, []).attempt(Skip(0x104, 1)) is Came.BYPASSED


@pytest.mark.parametrize("way", [IMAGE, IMAGE + 0x10])
def test_a_secure_cpu_executes_no_nonsecure_code(code: MarkedCode, monkeypatch: pytest.MonkeyPatch, way: int) -> None:
    """It comes there by an ordinary return, and the architecture makes a fault of it."""
    monkeypatch.setitem(WAY, 0x108, way)
    cpu = Cpu()
    run = boot(cpu, code, [])
    cpu.stays_secure = True
    assert run.attempt(Skip(0x104, 1)) is Came.STOPPED
    cpu.stays_secure = False
    assert run.attempt(Skip(0x104, 1)) is Came.BYPASSED


def test_a_cpu_that_went_astray_hangs(code: MarkedCode, monkeypatch: pytest.MonkeyPatch) -> None:
    for stray in (0, 0xDEAD_0000):
        monkeypatch.setitem(WAY, 0x10E, stray)
        assert boot(Cpu(), code, []).attempt(Skip(0x10A, 2)) is Came.STOPPED


def test_a_cpu_that_sleeps_has_ended(code: MarkedCode) -> None:
    cpu = Cpu()
    cpu.asleep = True
    assert boot(cpu, code, []).attempt(Skip(0x10A, 2)) is Came.STOPPED
    assert cpu.worked < 1.0, "it was not waited for"


@pytest.mark.parametrize(
    ("work", "done_at", "looks"),
    [
        ([0.1, 0.2, 0.2, 0.3], 4, 4),  # slow, because the host is busy: the instruction is waited for
        ([0.4, 0.8, 1.2], None, 3),  # it has worked for long enough
        ([0.1] * 20, None, 9),  # it sleeps: the request was lost
    ],
)
def test_an_instruction_is_waited_for_by_the_work_of_the_emulator(
    work: list[float], done_at: int | None, looks: int
) -> None:
    """On a busy host an answer was given up after a second, and the skip counted as one that is never reached."""
    looked: list[float] = []

    class Done(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            looked.append(timeout)
            return len(looked) == done_at

    worked = iter(work)
    reached(cast("Debugger", SimpleNamespace(work_done=lambda: next(worked))), 0.0, Done())
    assert len(looked) == looks
