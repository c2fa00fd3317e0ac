"""``kind: attach``: a board that already runs, behind a tty, a TCP or telnet port, or an RFC 2217 server.

Nothing is flashed. The build says which firmware should run. The run's header and results say what the harness could
not prove about it (`AttachBoard.unproven`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tfm_harness.boards.attach.monitor import MonitorWaker
from tfm_harness.boards.base import ClockQuality, ResetKind, RunContext
from tfm_harness.boards.power import cycle
from tfm_harness.boards.real import RealBoard
from tfm_harness.boards.tools import run_words
from tfm_harness.config.attach import AttachTarget
from tfm_harness.errors import InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.config.build import Build

__all__ = ["AttachBoard"]


class AttachBoard(RealBoard):
    """A board that already runs. `acquire` takes its ports; `flash` only notes which build should run."""

    kind: ClassVar[str] = "attach"
    config_model: ClassVar[type[Any]] = AttachTarget

    def __init__(self, target: AttachTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._build: Build | None = None
        self._resets = 0
        self._waker: MonitorWaker | None = None

    @property
    def clock_quality(self) -> ClockQuality:
        """The quality of the clock that the target declares: an emulator may be behind the port."""
        return ClockQuality.DECLARED

    # --- life

    def acquire(self) -> None:
        """See `Board`: locks, then opens every port; from then on, everything that the board prints is kept.

        Raises:
            InfrastructureError: ``board-busy``, ``port-missing``, ``port-busy``, ``port-refused``.
        """
        self._lock()
        try:
            self._open_consoles(self._target.consoles)
            self._open_stimulus(self._target.stimulus)
            if self._target.qemu_monitor is not None:
                self._waker = MonitorWaker(self._target.qemu_monitor)
        except BaseException:
            self.release()
            raise

    def flash(self, build: Build) -> None:
        """Note the build that should run; reset the board if the target has a command for it. Nothing is flashed."""
        self._require_acquired()
        self._build = build
        command = self._target.reset
        if command is not None and command.at_start:
            self.reset(ResetKind.COLD if command.cold else ResetKind.WARM)
        for line in self.unproven:
            self._note("not-proven", line)

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`.

        Raises:
            InfrastructureError: ``no-reset-control`` if the target has no command (and for a cold reset no power
                control); ``tool-missing``, ``tool-hung``, ``reset-failed``.
        """
        command, power = self._target.reset, self._target.power
        if kind not in self.resets:
            raise InfrastructureError(
                f"board {self.name!r} cannot be reset ({kind}) from here",
                kind="no-reset-control",
                expected="`reset` (and for a cold reset `reset.cold` or `power`) in the target's YAML",
                where=str(self._target.path or self.name),
                hint="give the command that resets it, or leave out the tests that need a reset",
            )
        # Noted first: the firmware may print before the command has ended.
        self._note("host-reset", f"{kind} reset by the user's command")
        words = None if command is None else command.warm if kind is ResetKind.WARM else command.cold
        if words is not None and command is not None:
            self._run(words, command.timeout)
        elif self._power is not None and power is not None:
            cycle(self._power, power.off_seconds)
        self._resets += 1

    def release(self) -> None:
        """See `Board`: closes the ports; the board continues to run."""
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        self._give_back()

    # --- what it is

    @property
    def unproven(self) -> tuple[str, ...]:
        """What the harness cannot know about a board to which it only attached, in words for people."""
        name = f"build {self._build.name!r}" if self._build else "the build"
        lines = [f"that the images running are those of {name}: nothing was flashed, so only signed tokens can show it"]
        if not self._resets:
            lines.append(
                "that the board started afresh: nothing was reset, so earlier requests may have changed its state"
            )
        if self._build is not None and not self._build.trust.iak:
            lines.append("whose device it is: the build names no attestation key (trust.iak)")
        lines.append("that it did not reset unseen: resets show only as far as its consoles tell of them")
        return tuple(lines)

    @property
    def resets(self) -> frozenset[ResetKind]:
        """See `Board`."""
        command = self._target.reset
        cold = self._power is not None or (command is not None and command.cold is not None)
        kinds = {ResetKind.COLD: cold, ResetKind.WARM: command is not None}
        return frozenset(kind for kind, there in kinds.items() if there)

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        return {"attached to": ", ".join(self._target.resources()), "not proven": "; ".join(self.unproven)}

    # --- inside

    @staticmethod
    def _run(words: Sequence[str], timeout: float) -> None:
        run_words(words, timeout, "to reset the board", kind="reset-failed")
