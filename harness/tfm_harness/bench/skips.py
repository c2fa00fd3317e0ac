"""Runs of the firmware with an instruction left out, under the emulator's debugger: what each of them came to."""

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
"""Of xPSR: the CPU is in Thumb state; it has no other."""
_LOOK: Final = 0.25  # seconds between two looks at a CPU that does not come to an end
_IDLE_LOOKS: Final = 8
"""Looks in a row at which an emulator has used no CPU at all: it sleeps."""
_LEAST_WORK: Final = 1.0
"""Seconds of the host's CPU after which a run that has come to no end hangs; a whole good boot takes 0.2 to 0.3."""


class Came(enum.StrEnum):
    """What a run with a skip came to."""

    REFUSED = "refused"  # as without a skip
    STOPPED = "stopped"  # reset, fault, halt or no end: nothing wrong was accepted
    BYPASSED = "bypassed"  # what must be refused was accepted
    UNREACHED = "unreached"  # the run did not reach the instruction


@dataclass
class Tally:
    """The runs of one campaign: how many came to what."""

    addresses: set[int] = field(default_factory=set)
    outcomes: Counter[Came] = field(default_factory=Counter)

    def add(self, skip: Skip, came: Came) -> None:
        """One more run."""
        self.addresses.add(skip.address)
        self.outcomes[came] += 1

    def __str__(self) -> str:
        parts = ", ".join(f"{self.outcomes[came]} {came}" for came in Came if self.outcomes[came])
        return f"{self.outcomes.total()} skips at {len(self.addresses)} addresses: {parts or 'none'}"


class SkippedBoot:
    """Boots with a skip, from reset to an end that the code names.

    Args:
        debugger: on the board; its CPU stands.
        code: the marked functions of the image.
        ends: addresses at which a boot has come to an end, and what that end means.
        foreign: the addresses of the code that must not run: a CPU that executes any of it has accepted it.
        prepare: puts memory into the state that each boot shall find; called after each reset.
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
        """A boot without a skip: how often it reaches each marked instruction."""
        self.begin()
        return visits_of(self._debugger, self._code, lambda at: at in self._ends)

    def plain(self) -> Came:
        """A boot without a skip."""
        self.begin()
        return self._to_end(None)

    def attempt(self, skip: Skip) -> Came:
        """A boot with a skip."""
        self.begin()
        self._debugger.break_at(skip.address)
        try:
            return self._to_end(skip)
        finally:
            self._debugger.halt()
            self._debugger.clear(skip.address)

    def begin(self) -> None:
        """The CPU stands before a boot's first instruction: nothing of the boot before goes on."""
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
        """What it means that the CPU stands in foreign code, which is non-secure.

        A CPU that came there by an ordinary branch is still secure, and executes none of it: the fetch is a SecureFault
        (INVTRAN; Armv8-M ARM DDI 0553, SFSR). QEMU makes none where the secure side has read that page before. Through
        the debugger, a secure CPU reads secure memory, and a non-secure one does not.
        """
        secure = self._debugger.read(next(iter(self._code.instructions)), 2)
        return Came.STOPPED if secure else Came.BYPASSED


def asleep(debugger: Debugger) -> bool:
    """Whether the CPU, which stands, waits for an interrupt (WFI). A skip may have sent it anywhere, address 0 too."""
    at = debugger.pc
    return any(int.from_bytes(debugger.read(where, 2), "little") == _WFI for where in (at, (at - 2) & 0xFFFF_FFFF))


def visits_of(debugger: Debugger, code: MarkedCode, ended: Callable[[int], bool]) -> dict[int, int]:
    """How often a run reaches each marked instruction, until it comes to a breakpoint for which `ended` says so."""
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

    Gives an event that tells whether it has. The CPU runs before the block and after it.
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
    """While the block runs, the first time that the CPU comes to one of `places` it goes on at `to` instead.

    With `thumb` false it has lost its Thumb state on the way, as by a branch to an even address. Gives an event that
    tells whether it came there. The CPU runs before the block and after it.
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
    """While the block runs, a thread stands by: at each stop it calls `stopped`, until that says no, and goes on."""
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
    """Return when the skip is done, or the firmware has had its share of this host's CPU since `began`, or sleeps."""
    before, idle = began, 0
    while idle < _IDLE_LOOKS and not done.wait(_LOOK):
        now = debugger.work_done()
        if now >= began + _LEAST_WORK:
            return
        idle = idle + 1 if now == before else 0
        before = now


def spent(debugger: Debugger, began: float) -> None:
    """Return when the firmware sleeps, or has had its share of this host's CPU since `began`: it hangs."""
    while debugger.work_done() < began + _LEAST_WORK:
        debugger.halt()
        idle = asleep(debugger)
        debugger.go()
        if idle or debugger.wait(_LOOK):
            return
