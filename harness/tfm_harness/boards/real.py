"""Base class of boards outside this host: locks, consoles behind endpoints, power, events, stimulus."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tfm_harness.boards.base import Board, BoardEvent, PowerState, RunContext
from tfm_harness.boards.locks import acquire_all, board_locks
from tfm_harness.boards.power import PowerControl, cycle, make_power
from tfm_harness.console.base import Console, Mark
from tfm_harness.console.endpoints import open_endpoint
from tfm_harness.console.reconnect import ReconnectingTransport
from tfm_harness.console.stream import StreamConsole
from tfm_harness.errors import HarnessBug, InfrastructureError

if TYPE_CHECKING:
    from tfm_harness.config.endpoint import Endpoint
    from tfm_harness.config.stimulus import StimulusBase
    from tfm_harness.config.target import TargetBase
    from tfm_harness.stimulus.base import Stimulus

__all__ = ["RealBoard"]


class RealBoard(Board):
    """A board outside this host; the derived kinds define how it is flashed and reset."""

    def __init__(self, target: TargetBase, context: RunContext) -> None:
        super().__init__(target, context)
        self._began = time.monotonic()
        self._events: list[BoardEvent] = []
        self._consoles: dict[str, StreamConsole] = {}
        self._stimulus: Stimulus | None = None
        self._power: PowerControl | None = make_power(target.power) if target.power is not None else None
        about = {"target": target.name, "kind": self.kind, "run_dir": str(context.run_dir)}
        self._locks = board_locks(target, context.state_dir, about)

    # --- for the kinds

    def _lock(self) -> None:
        acquire_all(self._locks, self.target.timeouts.acquire)

    def _open_consoles(self, endpoints: Mapping[str, Endpoint]) -> None:
        for name, endpoint in endpoints.items():
            transport = open_endpoint(endpoint)
            if isinstance(transport, ReconnectingTransport):
                transport.on_reconnect = self._reconnected(name)
            path = self.context.run_dir / f"{self.name}-{name}.log"
            self._consoles[name] = StreamConsole(name, transport, path, limit=self.target.limits.transcript)

    def _reconnected(self, name: str) -> Callable[[float], None]:
        return lambda seconds: self._note("reconnect", f"{name} came back after {seconds:.1f} s")

    def _open_stimulus(self, config: StimulusBase | None) -> None:
        if config is not None:
            from tfm_harness.stimulus.real import make_stimulus

            self._stimulus = make_stimulus(config, self.target.sensors)

    def _require_acquired(self) -> None:
        if not all(lock.held for lock in self._locks):
            raise HarnessBug(f"board {self.name!r} used before acquire", kind="board-state")

    def _give_back(self) -> None:
        try:
            if self._stimulus is not None:
                self._stimulus.close()
                self._stimulus = None
            for console in self._consoles.values():
                console.close()
        finally:
            for lock in self._locks:
                lock.release()

    def _cycle(self) -> None:
        config = self.target.power
        if self._power is None or config is None:
            raise self._no_power()
        self._note("power-cycle", "power cycled by the harness")  # noted first: the boot may print very early
        cycle(self._power, config.off_seconds)

    def _no_power(self) -> InfrastructureError:
        return InfrastructureError(
            f"board {self.name!r} has no power control",
            kind="no-power-control",
            expected="`power` in the target's YAML",
            where=str(self.target.path or self.name),
            hint="a cold reset takes the supply away; without a switch leave out the tests that need one",
        )

    def _note(self, kind: str, detail: str) -> None:
        offsets = {name: console.received for name, console in self._consoles.items()}
        self._events.append(BoardEvent(kind, detail, time.monotonic() - self._began, offsets))
        for console in self._consoles.values():
            console.note(f"{kind}: {detail}")

    # --- Board

    def power(self, state: PowerState) -> None:
        """See `Board`."""
        if self._power is None:
            raise self._no_power()
        self._note(f"power-{state}", f"power switched {state} by the harness")
        self._power.set(state)

    def check_alive(self) -> None:
        """See `Board`: the ports must still be there. Only answers of the firmware show that the board works."""
        for console in self._consoles.values():
            console.wait_data(Mark(console.received), timeout=0)

    def stimulus(self) -> Stimulus | None:
        """See `Board`."""
        return self._stimulus

    @property
    def consoles(self) -> Mapping[str, Console]:
        """See `Board`."""
        return dict(self._consoles)

    @property
    def events(self) -> tuple[BoardEvent, ...]:
        """See `Board`."""
        return tuple(self._events)
