"""``kind: attach``: a board that already runs, behind a tty, a TCP or telnet port, or an RFC 2217 server.

Nothing is flashed. The build says what should be there; what the harness could not prove about it is
said in the run's header and results (`AttachBoard.unproven`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from harness.boards.base import Board, BoardEvent, PowerState, ResetKind, RunContext
from harness.boards.locks import BoardLock, acquire_all
from harness.boards.power import PowerControl, cycle, make_power
from harness.boards.tools import run_words
from harness.config.attach import AttachTarget
from harness.console.base import Console, Mark
from harness.console.endpoints import open_endpoint
from harness.console.stream import StreamConsole
from harness.errors import BenchError, ConfigError, HarnessBug
from harness.stimulus.real import make_stimulus

if TYPE_CHECKING:
    from harness.config.build import Build
    from harness.stimulus.base import Stimulus
    from harness.stimulus.real import RealStimulus

__all__ = ["AttachBoard"]


class AttachBoard(Board):
    """A board that already runs. `acquire` takes its ports; `flash` only notes what should be there."""

    kind: ClassVar[str] = "attach"
    config_model: ClassVar[type[Any]] = AttachTarget

    def __init__(self, target: AttachTarget, context: RunContext) -> None:
        super().__init__(target, context)
        self._target = target
        self._began = time.monotonic()
        self._consoles: dict[str, StreamConsole] = {}
        self._events: list[BoardEvent] = []
        self._build: Build | None = None
        self._resets = 0
        self._stimulus: RealStimulus | None = None
        self._power: PowerControl | None = make_power(target.power) if target.power else None
        about = {"target": target.name, "kind": "attach", "run_dir": str(context.run_dir)}
        self._locks = [BoardLock(name, context.state_dir, about) for name in (target.name, *target.resources())]

    # --- life

    def acquire(self) -> None:
        """See `Board`: locks, then opens every port; what the board prints from here on is kept.

        Raises:
            BenchError: ``board-busy``, ``port-missing``, ``port-busy``, ``port-refused``.
        """
        acquire_all(self._locks, self.target.timeouts.acquire)
        try:
            for name, endpoint in self._target.consoles.items():
                path = self.context.run_dir / f"{self.name}-{name}.log"
                self._consoles[name] = StreamConsole(name, open_endpoint(endpoint), path)
            if self._target.stimulus is not None:
                self._stimulus = make_stimulus(self._target.stimulus, self._target.sensors)
        except BaseException:
            self.release()
            raise

    def flash(self, build: Build) -> None:
        """Nothing is flashed: notes what should be running, and resets where a command is given for that."""
        if not self._consoles:
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")
        self._build = build
        command = self._target.reset
        if command is not None and command.at_start:
            self.reset(ResetKind.COLD if command.cold else ResetKind.WARM)
        for line in self.unproven:
            self._note("not-proven", line)

    def reset(self, kind: ResetKind = ResetKind.WARM) -> None:
        """See `Board`.

        Raises:
            BenchError: ``no-reset-control`` where no command (for cold: nor power control) is given;
                ``tool-missing``, ``tool-hung``, ``reset-failed``.
        """
        command = self._target.reset
        if kind is ResetKind.COLD and command is not None and command.cold is not None:
            self._run(command.cold, command.timeout)
        elif kind is ResetKind.COLD and self._power is not None and self._target.power is not None:
            cycle(self._power, self._target.power.off_seconds)
        elif kind is ResetKind.WARM and command is not None:
            self._run(command.warm, command.timeout)
        else:
            raise BenchError(
                f"board {self.name!r} cannot be reset ({kind}) from here",
                kind="no-reset-control",
                expected="`reset` (and for a cold reset `reset.cold` or `power`) in the target's YAML",
                where=str(self._target.path or self.name),
                hint="give the command that resets it, or leave out the tests that need a reset",
            )
        self._resets += 1
        self._note("host-reset", f"{kind} reset by the user's command")

    def power(self, state: PowerState) -> None:
        """See `Board`. Raises `BenchError` ``no-power-control``."""
        if self._power is None:
            raise BenchError(
                f"board {self.name!r} has no power control",
                kind="no-power-control",
                expected="`power` in the target's YAML",
                where=str(self._target.path or self.name),
            )
        self._power.set(state)
        self._note("power-off" if state is PowerState.OFF else "power-on", "power switched by the harness")

    def release(self) -> None:
        """See `Board`: closes the ports; the board runs on."""
        try:
            if self._stimulus is not None:
                self._stimulus.close()
                self._stimulus = None
            for console in self._consoles.values():
                console.close()
        finally:
            for lock in self._locks:
                lock.release()

    def check_alive(self) -> None:
        """See `Board`: the ports must still be there; whether the board is alive only its answers tell."""
        for console in self._consoles.values():
            console.wait_data(Mark(console.received), timeout=0)

    def stimulus(self) -> Stimulus | None:
        """See `Board`."""
        return self._stimulus

    # --- what it is

    @property
    def unproven(self) -> tuple[str, ...]:
        """What the harness cannot know of a board it only attached to, in words for people."""
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

    def console(self, name: str) -> Console:
        """See `Board`."""
        if name not in self._target.consoles:
            known = ", ".join(self._target.consoles)
            raise ConfigError(f"target {self.name!r} has no console {name!r}", kind="console-unknown", expected=known)
        if name not in self._consoles:
            raise HarnessBug(f"console {name!r} before acquire", kind="board-state")
        return self._consoles[name]

    @property
    def consoles(self) -> Mapping[str, Console]:
        """See `Board`."""
        return dict(self._consoles)

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)

    @property
    def description(self) -> Mapping[str, str]:
        """See `Board`."""
        return {"attached to": ", ".join(self._target.resources()), "not proven": "; ".join(self.unproven)}

    # --- inside

    @staticmethod
    def _run(words: Sequence[str], timeout: float) -> None:
        run_words(words, timeout, "to reset the board", kind="reset-failed")

    def _note(self, kind: str, detail: str) -> None:
        offsets = {name: console.received for name, console in self._consoles.items()}
        self._events.append(BoardEvent(kind, detail, time.monotonic() - self._began, offsets))
        for console in self._consoles.values():
            console.note(f"{kind}: {detail}")
