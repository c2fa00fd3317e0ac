"""A combination whose board can be started again: reset, power cut, other fuses, other sensors, another build."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tfm_harness.bench.firmware import open_consoles
from tfm_harness.bench.opened import OpenCombination
from tfm_harness.bench.probing import Prober
from tfm_harness.bench.proof import prove_flash
from tfm_harness.bench.virtual import VirtualBoard
from tfm_harness.boards.base import Board, ClockQuality, PowerState, ResetKind
from tfm_harness.boards.virtual import Burned
from tfm_harness.console.base import Mark
from tfm_harness.errors import HarnessError
from tfm_harness.protocol.base import Description
from tfm_harness.trust.anchors import Trust

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["RestartableCombination"]

_SHORTEST_SILENCE: Final = 0.1  # seconds
_REFUSED_BOOT: Final = 10.0  # seconds after which a firmware that does not answer counts as one that refused to boot
_LOOK_AGAIN: Final = 0.2  # seconds between two checks of its consoles meanwhile


class RestartableCombination(OpenCombination):
    """A combination that can start its board again in every way that tests need, and waits for the firmware."""

    memory_history: int = 0
    """The number of the course of the device's memory; `VirtualBoard` changes it when it puts older memory back."""
    _since_start: dict[str, Mark] = {}  # noqa: RUF012 - replaced as a whole at each start that may be refused

    @functools.cached_property
    def probes(self) -> Prober:
        """Makes accesses that may be violations."""
        return Prober(self)

    def reset(self, kind: ResetKind) -> Description:
        """Reset on purpose and wait until the firmware answers."""
        with self.reset_monitor.expected_reset(), self.booting():
            self.board.reset(kind)
            self._started()
            description = self.firmware.wait_new_boot()
        self._restate()
        return description

    def reset_by_request(self) -> Description:
        """Let the firmware reset itself (OS group reset) and wait until it answers again."""
        with self.reset_monitor.expected_reset():
            self.device.test_commands.request_reset()
            with self.booting():
                told = self.reset_monitor.await_reset(self.boot_timeout)
                self._started()
                # A boot before a reset that was told answers no more.
                description = self.firmware.wait_ready() if told else self.firmware.wait_new_boot()
        self._restate()
        return description

    def await_return(self) -> None:
        """Wait for a board that has reset because of a violation that was tried on purpose.

        Raises:
            InfrastructureError, ProductError: it does not come back.
        """
        with self.reset_monitor.expected_reset():
            self._started()
            with self.booting():
                self.firmware.wait_ready()
        self._restate()
        self.reset_monitor.begin()  # the text that it printed about the violation is no unexpected panic

    def revive(self) -> None:
        """Start a board again that has halted because of such a violation."""
        self.reset(ResetKind.WARM if ResetKind.WARM in self.board.resets else ResetKind.COLD)
        self.reset_monitor.begin()

    def stays_silent(self) -> bool:
        """Whether the firmware does not answer within three times the longest of its last good boots.

        For firmware that must not start. Where it must, `answers` waits longer: a busy host delays a boot.
        """
        with self.booting():
            return self.device.test_commands.is_silent(max(_SHORTEST_SILENCE, 3 * self.firmware.longest_boot))

    # -- power

    @contextlib.contextmanager
    def power_cut(self, *, answers: bool = True) -> Iterator[None]:
        """Cut the power for the block; then the board starts cold. If `answers` is false, it may refuse to boot."""
        with self.reset_monitor.expected_reset():
            with self.booting():
                self.board.power(PowerState.OFF)
            self._note_start()
            try:
                yield
            finally:
                with self.booting():
                    self.board.power(PowerState.ON)
                    self._started()
                    if answers:
                        self.firmware.wait_ready()
        self._restate()

    def answers(self) -> bool:
        """Whether the firmware answers after a power cut that it may not have survived, or after `flash_variant`.

        The wait lasts as long as for a boot, at most ten seconds; it ends when a console says that the firmware halted.
        """
        deadline = time.monotonic() + min(_REFUSED_BOOT, self.boot_timeout)
        with self.reset_monitor.expected_reset(), self.booting():
            while True:
                try:
                    self.firmware.answer_within(_LOOK_AGAIN)
                except HarnessError as error:
                    if error.kind not in {"silent", "boot-hung"}:
                        raise
                    if self._says_halted() or time.monotonic() > deadline:
                        return False
                else:
                    break
        self._restate()
        return True

    def _note_start(self) -> None:
        self._since_start = {name: console.mark() for name, console in open_consoles(self.board).items()}

    def _says_halted(self) -> bool:
        consoles = open_consoles(self.board)
        said = (consoles[name].read_from(mark) for name, mark in self._since_start.items() if name in consoles)
        return any(b"halted" in text for text in said)

    def factory_reset(self) -> Description:
        """Erase the device's nonvolatile memory (counters, updates) and start it cold."""
        with self.reset_monitor.expected_reset(), self.booting():
            self.board.power(PowerState.OFF)
            self.board.erase()
            self.board.power(PowerState.ON)
            self._started()
            description = self.firmware.wait_ready()
        self._active = description.model
        self._trust = Trust(self.combination.build, self.board.identity)  # this also forgets installed models
        self._restate()
        return description

    # -- starts with something changed

    @contextlib.contextmanager
    def provisioned(self, lifecycle: int) -> Iterator[None]:
        """Start the (virtual) board cold in another PSA lifecycle, and in its own again afterwards.

        Raises:
            InfrastructureError, ProductError: as `reset`.
        """
        active = self.description.model
        with VirtualBoard(self).burned(Burned(lifecycle=lifecycle)):
            self.select_again(active)
            yield

    @contextlib.contextmanager
    def without_sensors(self, *names: str) -> Iterator[None]:
        """Start the board cold without some of its sensors, and with all of them again afterwards.

        Raises:
            InfrastructureError, ProductError: as `reset`.
        """
        remove = self.board.without_sensors
        with self._started_with(lambda: remove(frozenset(names)), lambda: remove(frozenset())):
            yield

    @contextlib.contextmanager
    def exact_clock(self) -> Iterator[bool]:
        """Measure with a repeatable clock: on silicon its own, on an emulator by counting instructions.

        Yields whether there is such a clock; without one, times on this board allow no verdict.

        Raises:
            InfrastructureError, ProductError: as `reset`.
        """
        count = self.board.count_instructions
        if self.board.clock_quality is not ClockQuality.MEANINGLESS:
            yield True
        elif type(self.board).count_instructions is Board.count_instructions:
            yield False
        else:
            with self._started_with(lambda: count(True), lambda: count(False)):
                yield True

    @contextlib.contextmanager
    def _started_with(self, change: Callable[[], None], back: Callable[[], None]) -> Iterator[None]:
        """Start cold with something changed, and after the block start cold again with it changed back."""
        active = self.description.model
        change()
        try:
            self.reset(ResetKind.COLD)
            self.select_again(active)
            yield
        finally:
            back()
            self.reset(ResetKind.COLD)
            self.select_again(active)

    def flash_variant(self, build: Build) -> None:
        """Flash a changed build, which may refuse to boot; `flash_again` undoes this."""
        with self.reset_monitor.expected_reset():
            self._note_start()
            with self.booting():
                self.board.flash(build)
            self._started()

    def flash_again(self) -> None:
        """Flash the build under test again, as when the bench was opened."""
        self.flash_variant(self.combination.build)
        self.prove_build()

    def prove_build(self) -> None:
        """Wait until the firmware answers; it must be the build under test, after `flash_variant` has flashed it.

        Raises:
            InfrastructureError, ProductError: as clients; ``wrong-firmware`` when another image runs.
        """
        prove_flash(self.firmware.wait_ready(), self.trust, self.combination)
        self._restate()

    # -- inside

    def _started(self) -> None:
        """Note a new boot, perhaps with other fuses, and discard bytes of the previous boot on the wire."""
        self.boots += 1
        if self.trust.identity != self.board.identity:
            self._trust = Trust(self.combination.build, self.board.identity)
        if self._firmware is not None:
            self._firmware.restart_link()

    def _restate(self) -> None:
        if self.stimulus is not None:
            self.stimulus.restate()
