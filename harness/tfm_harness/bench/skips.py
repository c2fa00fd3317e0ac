"""Runs the firmware with an instruction left out, under the emulator's debugger, and classifies the outcomes."""

from __future__ import annotations

import contextlib
import enum
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tfm_harness.boards.emulated_cpu import Debugger
from tfm_harness.verify.instruction_skips import Skip, after
from tfm_harness.verify.marked_code import MarkedCode

__all__ = [
    "Came",
    "SkippedBoot",
    "Tally",
    "asleep",
    "counting",
    "diverting",
    "reached",
    "skipping",
    "spent",
    "visits_of",
]

_WFI: Final = 0xBF30
_THUMB: Final = 1 << 24
"""The bit of xPSR for the Thumb state, the only state of this CPU."""
_LOOK: Final = 0.25  # seconds between two checks of a CPU that does not reach an end
_IDLE_LOOKS: Final = 8
"""The number of checks in a row without any CPU use of the emulator after which its CPU is asleep."""
_LEAST_WORK: Final = 1.0
"""Seconds of the host's CPU after which a run without an end counts as hung; a good boot takes 0.2 to 0.3."""


class Came(enum.StrEnum):
    """The outcome of a run with a skip."""

    REFUSED = "refused"  # as without a skip
    STOPPED = "stopped"  # reset, fault, halt or no end: nothing wrong was accepted
    BYPASSED = "bypassed"  # something that must be refused was accepted
    UNREACHED = "unreached"  # the run did not reach the instruction


@dataclass
class Tally:
    """The number of runs of one campaign with each outcome."""

    addresses: set[int] = field(default_factory=set)
    outcomes: Counter[Came] = field(default_factory=Counter)

    def add(self, skip: Skip, came: Came) -> None:
        """Count one more run."""
        self.addresses.add(skip.address)
        self.outcomes[came] += 1

    def __str__(self) -> str:
        parts = ", ".join(f"{self.outcomes[came]} {came}" for came in Came if self.outcomes[came])
        return f"{self.outcomes.total()} skips at {len(self.addresses)} addresses: {parts or 'none'}"


class SkippedBoot:
    """Boots with a skip, from reset to an end that the code names.

    Args:
        debugger: the debugger of the board, whose CPU is halted.
        code: the marked functions of the image.
        ends: addresses at which a boot has ended, and the outcome that each means.
        foreign: the addresses of the code that must not run: if the CPU executes any of it, it was accepted.
        prepare: puts memory into the state for each boot; called after each reset.
    """

    def __init__(
        self,
        debugger: Debugger,
        code: MarkedCode,
        *,
        ends: Mapping[int, Came],
        foreign: range,
        prepare: Callable[[], None],
    ) -> None:
        self._debugger, self._code, self._ends, self._foreign = debugger, code, ends, foreign
        self._prepare = prepare

    def visits(self) -> dict[int, int]:
        """Boot without a skip, and count how often each marked instruction is reached."""
        self.begin()
        return visits_of(self._debugger, self._code, lambda at: at in self._ends)

    def plain(self) -> Came:
        """Boot without a skip."""
        self.begin()
        return self._to_end(None)

    def attempt(self, skip: Skip) -> Came:
        """Boot with a skip."""
        self.begin()
        self._debugger.break_at(skip.address)
        try:
            return self._to_end(skip)
        finally:
            self._debugger.halt()
            self._debugger.clear(skip.address)

    def begin(self) -> None:
        """Halt the CPU before the first instruction of a new boot."""
        self._debugger.restart()
        self._prepare()
        for address in self._ends:
            self._debugger.break_at(address)

    def _to_end(self, skip: Skip | None) -> Came:
        debugger = self._debugger
        visit, done = 0, skip is None
        limit = debugger.work_done() + _LEAST_WORK
        while True:
            debugger.go()
            while not debugger.wait(_LOOK):
                debugger.halt()
                at = debugger.pc
                if at in self._ends or (skip is not None and at == skip.address):
                    break  # it came to stand there just now
                if at in self._foreign:
                    return self._foreign_runs()
                if asleep(debugger) or debugger.work_done() > limit:
                    return Came.STOPPED
                debugger.go()
            at = debugger.pc
            if not done and skip is not None and at == skip.address:
                visit += 1
                if visit == skip.visit:
                    done = True
                    debugger.clear(at)
                    debugger.jump(*after(skip, debugger.xpsr, self._code))
                    at = debugger.pc
            if at in self._ends:
                return self._end(at) if done else Came.UNREACHED

    def _end(self, at: int) -> Came:
        came = self._ends[at]
        return self._foreign_runs() if came is Came.BYPASSED else came

    def _foreign_runs(self) -> Came:
        """The outcome when the CPU is halted in foreign code, which is non-secure.

        A CPU that got there by an ordinary branch is still secure, and executes none of it: the fetch is a SecureFault
        (INVTRAN; Armv8-M ARM DDI 0553, SFSR). QEMU raises none if the secure side has read that page before. So the
        debugger reads secure memory: it succeeds with a secure CPU, and fails with a non-secure one.
        """
        secure = self._debugger.read(next(iter(self._code.instructions)), 2)
        return Came.STOPPED if secure else Came.BYPASSED


def asleep(debugger: Debugger) -> bool:
    """Whether the halted CPU waits for an interrupt (WFI). A skip may have sent it anywhere, also to address 0."""
    at = debugger.pc
    return any(int.from_bytes(debugger.read(where, 2), "little") == _WFI for where in (at, (at - 2) & 0xFFFF_FFFF))


def visits_of(debugger: Debugger, code: MarkedCode, ended: Callable[[int], bool]) -> dict[int, int]:
    """How often a run reaches each marked instruction, until it stops at an address for which `ended` is true."""
    counted: dict[int, int] = {}
    for address in code.instructions:
        debugger.break_at(address)
    try:
        while True:
            debugger.go()
            while not debugger.wait(_LOOK):
                debugger.halt()
                if debugger.pc in code.instructions or ended(debugger.pc):
                    break  # it came to stand there just now
                if asleep(debugger):
                    return counted
                debugger.go()
            at = debugger.pc
            if at in code.instructions:
                counted[at] = counted.get(at, 0) + 1
            if ended(at):
                return counted
    finally:
        for address in code.instructions:
            debugger.clear(address)


@contextlib.contextmanager
def counting(debugger: Debugger, code: MarkedCode) -> Iterator[Mapping[int, int]]:
    """While the block runs, count how often the running firmware reaches each marked instruction.

    The CPU runs before the block and after it.
    """
    counted: dict[int, int] = {}

    def stopped() -> bool:
        at = debugger.pc
        counted[at] = counted.get(at, 0) + 1
        return True

    with _following(debugger, tuple(code.instructions), stopped):
        yield counted


@contextlib.contextmanager
def skipping(debugger: Debugger, code: MarkedCode, skip: Skip) -> Iterator[threading.Event]:
    """While the block runs, the running firmware leaves the skip's instructions out, once.

    Yields an event that is set when it has. The CPU runs before the block and after it.
    """
    done = threading.Event()
    visits = 0

    def stopped() -> bool:
        nonlocal visits
        visits += 1
        if visits < skip.visit:
            return True
        debugger.clear(skip.address)
        debugger.jump(*after(skip, debugger.xpsr, code))
        done.set()
        return False

    with _following(debugger, (skip.address,), stopped):
        yield done


@contextlib.contextmanager
def diverting(debugger: Debugger, places: Sequence[int], to: int, *, thumb: bool) -> Iterator[threading.Event]:
    """While the block runs, the first time that the CPU reaches one of `places`, it continues at `to` instead.

    If `thumb` is false, it also loses its Thumb state, as by a branch to an even address. Yields an event that is set
    when that happened. The CPU runs before the block and after it.
    """
    done = threading.Event()

    def stopped() -> bool:
        xpsr = debugger.xpsr
        debugger.jump(to, xpsr if thumb else xpsr & ~_THUMB)
        done.set()
        return False

    with _following(debugger, places, stopped):
        yield done


@contextlib.contextmanager
def _following(debugger: Debugger, addresses: Sequence[int], stopped: Callable[[], bool]) -> Iterator[None]:
    """While the block runs, a thread calls `stopped` at each stop and resumes the CPU, until `stopped` gives False."""
    ending = threading.Event()
    problems: list[Exception] = []

    def follow() -> None:
        more = True
        try:
            while more and not ending.is_set():
                if debugger.wait(0.01):
                    more = stopped()
                    debugger.go()
        except Exception as problem:  # noqa: BLE001 - carried to the thread that waits
            problems.append(problem)

    debugger.halt()
    for address in addresses:
        debugger.break_at(address)
    debugger.go()
    thread = threading.Thread(target=follow, name="skips", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        if not problems:
            debugger.halt()
            for address in addresses:
                debugger.clear(address)
            debugger.go()
    if problems:
        raise problems[0]


def reached(debugger: Debugger, began: float, done: threading.Event) -> None:
    """Return when the skip is done, or the firmware sleeps, or has used `_LEAST_WORK` seconds of CPU since `began`."""
    before, idle = began, 0
    while idle < _IDLE_LOOKS and not done.wait(_LOOK):
        now = debugger.work_done()
        if now >= began + _LEAST_WORK:
            return
        idle = idle + 1 if now == before else 0
        before = now


def spent(debugger: Debugger, began: float) -> None:
    """Return when the firmware sleeps or stops, or hangs: it has used `_LEAST_WORK` seconds of CPU since `began`."""
    while debugger.work_done() < began + _LEAST_WORK:
        debugger.halt()
        idle = asleep(debugger)
        debugger.go()
        if idle or debugger.wait(_LOOK):
            return
