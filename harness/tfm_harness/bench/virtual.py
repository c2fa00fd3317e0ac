"""Controls that only a virtual board has: burning fuses, access to nonvolatile memory, power cuts at any moment."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from tfm_harness.bench.skips import diverting
from tfm_harness.boards.base import ResetKind
from tfm_harness.boards.emulated_cpu import RegisterAccess, Registers, StoppedCpu
from tfm_harness.boards.virtual import Burned, NvMemory, VirtualControl
from tfm_harness.errors import HarnessBug

if TYPE_CHECKING:
    from tfm_harness.bench.combination import TargetBuild
    from tfm_harness.boards.base import Board
    from tfm_harness.protocol.base import Description

__all__ = ["VirtualBoard"]

_HISTORIES = itertools.count(1)


class Switchable(Protocol):
    """A combination whose board can be started again: see `tfm_harness.bench.live.LiveCombination`."""

    combination: TargetBuild
    board: Board
    memory_history: int

    @property
    def description(self) -> Description: ...

    def power_cut(self, *, answers: bool = True) -> AbstractContextManager[None]: ...
    def answers(self) -> bool: ...
    def reset(self, kind: ResetKind) -> Description: ...
    def select_again(self, model: str | None) -> None: ...


class Burn(Protocol):
    """Starts a board cold with other fuses; with `answers` false the firmware is not waited for."""

    def __call__(self, burned: Burned, *, answers: bool = True) -> None: ...


class VirtualBoard:
    """The board of a bench, for tests that need controls of virtual boards: ``provision``, ``nv-access``, stops.

    All changes by a block are undone at its end, and the board answers again.
    """

    def __init__(self, bench: Switchable) -> None:
        self._bench = bench

    @property
    def control(self) -> VirtualControl:
        """The board's own controls."""
        board = self._bench.board
        if not isinstance(board, VirtualControl):
            raise HarnessBug(f"{self._bench.combination.name} is no virtual board", kind="board-state")
        return board

    @property
    def nv(self) -> NvMemory:
        """The memory that the firmware keeps over power cycles."""
        memory = self.control.nv
        if memory is None:
            raise HarnessBug(f"{self._bench.combination.name} has no NV area to look at", kind="board-state")
        return memory

    @contextlib.contextmanager
    def off(self, *, answers: bool = True) -> Iterator[None]:
        """Cut the power for the block, without a shutdown; it comes back after the block.

        With `answers` false the firmware is not waited for: it may refuse to boot.
        """
        with self._bench.power_cut(answers=answers):
            yield

    def restart_with(self, content: bytes) -> None:
        """Cut the power, put `content` into the NV area, start cold: the firmware must answer then."""
        with self.off():
            self.nv.write(0, content)

    def starts_with(self, content: bytes) -> bool:
        """Cut the power, put `content` into the NV area, start cold; returns whether the firmware answers then."""
        with self.off(answers=False):
            self.nv.write(0, content)
        self._bench.memory_history = next(_HISTORIES)
        return self._bench.answers()

    @contextlib.contextmanager
    def burning(self) -> Iterator[Callable[[Burned], None]]:
        """Yields a function that burns other fuses, for a board that the test itself starts.

        They take effect at the next cold start; after the block the board has its own fuses again.
        """
        try:
            yield self.control.provision
        finally:
            self.control.provision(None)

    @contextlib.contextmanager
    def fuses(self) -> Iterator[Burn]:
        """Yields a function that burns other fuses and starts cold. The block's end restores the board's own fuses."""
        active = self._bench.description.model
        try:
            with self.burning() as provision:

                def burn(burned: Burned, *, answers: bool = True) -> None:
                    provision(burned)
                    with self.off(answers=answers):
                        pass

                yield burn
        finally:
            self._bench.reset(ResetKind.COLD)
            self._bench.select_again(active)

    @contextlib.contextmanager
    def burned(self, burned: Burned, *, answers: bool = True) -> Iterator[None]:
        """Start the board cold with other fuses, and with its own again afterwards.

        With `answers` false the firmware is not waited for.
        """
        with self.fuses() as burn:
            burn(burned, answers=answers)
            yield

    @contextlib.contextmanager
    def other_boards(self) -> Iterator[Burn]:
        """Like `fuses`, but each start begins with empty nonvolatile memory.

        With another hardware unique key it is another board. After the block, the board's own memory is restored.
        """
        with self.keeping(), self.burning() as provision:

            def burn(burned: Burned, *, answers: bool = True) -> None:
                with self.off(answers=answers):
                    self._bench.board.erase()
                    provision(burned)

            yield burn

    @contextlib.contextmanager
    def other_board(self, burned: Burned) -> Iterator[None]:
        """Like `other_boards`, for a single board."""
        with self.other_boards() as burn:
            burn(burned)
            yield

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """Restore the nonvolatile memory after the block, whatever the block did to it."""
        active = self._bench.description.model
        saved, history = self.nv.read(), self._bench.memory_history
        self._bench.memory_history = next(_HISTORIES)
        try:
            yield
        finally:
            with self.off():
                self.nv.write(0, saved)
            self._bench.memory_history = history
            self._bench.select_again(active)

    def torn(self, work: Callable[[], object], addresses: Sequence[int]) -> list[bytes]:
        """The states that a power cut could leave: the NV area after each write to one of these words during `work`.

        Args:
            work: asks the firmware to do something, and returns when it is done.
            addresses: words of the NV area, as the secure side sees them.

        Returns:
            The different contents, in the order in which they appeared.
        """
        found: dict[bytes, None] = {}
        with self.control.write_stops(addresses, lambda _: found.setdefault(self.nv.read())):
            work()
        return list(found)

    def in_secure_code(self, work: Callable[[], object], address: int, look: Callable[[StoppedCpu], None]) -> bool:
        """Stop the CPU once, when the secure side first writes to a nonvolatile word, and inspect it.

        Args:
            work: asks the firmware for something that makes it write there, and returns when it is done.
            address: a word of the NV area, as the secure side sees it.
            look: reads memory that only the secure side can read; the CPU is halted meanwhile.

        Returns:
            Whether the CPU was stopped.
        """
        seen: list[int] = []
        cpu: list[StoppedCpu] = []

        def once(number: int) -> None:
            if number == 0:
                look(cpu[0])
            seen.append(number)

        with self.control.write_stops([address], once) as stops:
            cpu.append(stops)
            work()
        return bool(seen)

    def diverted(
        self, work: Callable[[], object], gateways: Sequence[int], address: int, *, thumb: bool = True
    ) -> bool:
        """Let the non-secure side branch to another address in place of calling the secure side.

        Args:
            work: asks the firmware for something that makes it call, and returns when it is done.
            gateways: the entry points of the secure side (`tfm_harness.verify.gateways` of the secure image).
            address: the address to which the first call goes instead.
            thumb: False: by a branch that leaves Thumb state.

        Returns:
            Whether it branched.
        """
        with self.control.debugger() as debugger:
            debugger.go()
            with diverting(debugger, gateways, address, thumb=thumb) as done:
                work()
        return done.is_set()

    def calls(self, work: Callable[[], object], gateways: Sequence[int]) -> list[tuple[Registers, Registers]]:
        """The registers of the non-secure side at each call of the secure side while `work` runs: before, and after.

        Args:
            work: asks the firmware for something, and returns when it is done.
            gateways: the entry points of the secure side (`tfm_harness.verify.gateways` of the secure image).
        """
        found: list[tuple[Registers, Registers]] = []
        with self.control.call_stops(gateways, lambda before, after: found.append((before, after))):
            work()
        return found

    def accesses(
        self, addresses: Sequence[int], on_access: Callable[[RegisterAccess], int], *, writes: bool = False
    ) -> AbstractContextManager[object]:
        """Intercept accesses of the CPU to a device's registers for the block: observe and change the values it reads.

        Args:
            addresses: words, as the secure side addresses them.
            on_access: called at each read (and write); returns the value that the CPU reads.
            writes: whether to call it at writes, too.
        """
        return self.control.register_stops(addresses, on_access, writes=writes)

    def raced(self, work: Callable[[], object], address: int, data: bytes) -> bool:
        """Run `work` while another bus master puts `data` at `address` right after the CPU has first read there.

        Returns:
            Whether the address was read.
        """
        with self.control.race(address, data) as stops:
            work()
        return stops.stops > 0
