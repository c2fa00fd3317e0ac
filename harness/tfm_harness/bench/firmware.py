"""The firmware on a board, through its protocol's client: waits until it answers, asks who it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.proof import spoke_elsewhere
from tfm_harness.bench.reset_monitor import ResetMonitor
from tfm_harness.boards.base import Board
from tfm_harness.boards.emulator_quirks import hints_for, is_tfm
from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.base import Description
from tfm_harness.protocol.clients import open_client

__all__ = ["Firmware", "open_consoles"]


def open_consoles(board: Board) -> Mapping[str, Console]:
    """The board's consoles; none where the board is gone."""
    with contextlib.suppress(HarnessError):
        return board.consoles
    return {}


class Firmware:
    """The firmware that runs on a board.

    Args:
        board: flashed and started.
        combination: what was flashed, and the protocol that it speaks.
        monitor: asked during each wait whether the board went down.
        answer_timeout: seconds that the firmware may take for an answer that needs no long work.
        boot_timeout: seconds from a reset to the first answer.
    """

    def __init__(
        self,
        board: Board,
        combination: TargetBuild,
        monitor: ResetMonitor,
        *,
        answer_timeout: float,
        boot_timeout: float,
    ) -> None:
        self._board = board
        self._combination = combination
        self._boot_timeout = boot_timeout
        self._description: Description | None = None
        self.longest_boot = 0.0
        self.client = open_client(
            combination.build.protocol,
            board.console(combination.build.console),
            timeout=answer_timeout,
            watch=monitor.raise_if_down,
        )

    @property
    def answered(self) -> bool:
        """Whether it ever said who it is."""
        return self._description is not None

    @property
    def description(self) -> Description:
        """Who the firmware said it is, last time it was asked."""
        if self._description is None:
            raise HarnessBug("the firmware was not asked yet who it is", kind="board-state")
        return self._description

    def describe(self) -> Description:
        """Ask the firmware who it is."""
        self._description = self.client.describe()
        return self._description

    def answer_within(self, seconds: float) -> Description:
        """Wait until the firmware answers; an error says nothing about the cause.

        Raises:
            InfrastructureError, ProductError: as `PseudoDriver.wait_ready`.
        """
        self._description = self.client.wait_ready(timeout=seconds)
        return self._description

    def wait_ready(self) -> Description:
        """Wait until the firmware has booted and answers; an error says what is known about the silence.

        Raises:
            InfrastructureError, ProductError: as `PseudoDriver.wait_ready`; ``boot-hung`` when another console spoke.
        """
        began = time.perf_counter()
        try:
            self.answer_within(self._boot_timeout)
        except (InfrastructureError, ProductError) as error:
            consoles = open_consoles(self._board)
            talking = {name: console.received for name, console in consoles.items() if console.received}
            if isinstance(error, InfrastructureError) and error.kind == "silent" and talking:
                raise spoke_elsewhere(error, consoles, talking) from None
            error.hint = "\n".join(self._emulator_quirks(consoles)) or error.hint
            raise
        self.longest_boot = max(self.longest_boot, time.perf_counter() - began)
        return self.description

    def restart_link(self) -> None:
        """What was on the wire before a reset belongs to no answer after it."""
        link = getattr(self.client, "link", None)
        if link is not None:
            link.restart()

    def _emulator_quirks(self, consoles: Mapping[str, Console]) -> tuple[str, ...]:
        """What is known about this emulator that explains a boot that came to nothing."""
        said = ""
        with contextlib.suppress(HarnessError):
            said = "".join(c.read_from(Mark(0)).decode("utf-8", "replace") for c in consoles.values())
        resets = sum(event.kind == "guest-reset" for event in self._board.events)
        machine = getattr(self._combination.target, "machine", None)
        return hints_for(machine, said, resets=resets, tfm=is_tfm(self._combination.build))
