"""The firmware on a board, through its protocol's client: waits until it answers, and asks for its description."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, TypedDict

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.proof import spoke_elsewhere
from tfm_harness.bench.reset_monitor import ResetMonitor
from tfm_harness.boards.base import Board
from tfm_harness.boards.emulator_quirks import hints_for, is_tfm, limit_reached
from tfm_harness.console.base import Console, Mark
from tfm_harness.errors import HarnessBug, HarnessError, InfrastructureError, ProductError
from tfm_harness.protocol.base import Description, Reboots
from tfm_harness.protocol.clients import open_client

__all__ = ["Firmware", "emulator_limit", "open_consoles"]

_LINGERING: Final = 3.0  # seconds for which the previous boot may still answer after a reset
_LOOK_AGAIN: Final = 0.05
_RECENT: Final = 16  # boots


def open_consoles(board: Board) -> Mapping[str, Console]:
    """The board's consoles; none when the board is gone."""
    with contextlib.suppress(HarnessError):
        return board.consoles
    return {}


def emulator_limit(board: Board, combination: TargetBuild, why: str) -> InfrastructureError | None:
    """The error for a boot that failed only at a known limit of the emulator; None when the product may be responsible.

    Args:
        board: the started board.
        combination: the combination that runs on it.
        why: a text about the failed boot.
    """
    consoles = open_consoles(board)
    limit = limit_reached(**_seen(board, combination, consoles))
    if limit is None:
        return None
    return InfrastructureError(
        "this emulator cannot run these images: their boot ends at something that it does not model",
        kind="emulator-limit",
        expected="a boot",
        seen=why,
        where="\n".join(f"console {name!r}:\n{console.tail(8)}" for name, console in consoles.items()),
        hint=limit,
    )


def _boot_of(said: Description | None) -> tuple[int | None, bytes | None] | None:
    if said is None or (said.boot is None and said.boot_seed is None):
        return None
    return said.boot, said.boot_seed


class _Seen(TypedDict):
    machine: str | None
    console: str
    resets: int
    tfm: bool


def _seen(board: Board, combination: TargetBuild, consoles: Mapping[str, Console]) -> _Seen:
    said = ""
    with contextlib.suppress(HarnessError):
        said = "".join(c.read_from(Mark(0)).decode("utf-8", "replace") for c in consoles.values())
    return {
        "machine": getattr(combination.target, "machine", None),
        "console": said,
        "resets": len(board.guest_resets),
        "tfm": is_tfm(combination.build),
    }


class Firmware:
    """The firmware that runs on a board.

    Args:
        board: the flashed and started board.
        combination: the flashed build, and its protocol.
        monitor: checks during each wait whether the board went down.
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
        self._boots: deque[float] = deque(maxlen=_RECENT)
        self.client = open_client(
            combination.build.protocol,
            board.console(combination.build.console),
            timeout=answer_timeout,
            watch=monitor.raise_if_down,
        )
        if isinstance(self.client, Reboots):
            self.client.expecting = monitor.expected_reset

    @property
    def longest_boot(self) -> float:
        """Seconds of the longest of the last good boots."""
        return max(self._boots, default=0.0)

    @property
    def answered(self) -> bool:
        """Whether the firmware has ever given its description."""
        return self._description is not None

    @property
    def description(self) -> Description:
        """The firmware's last description of itself."""
        if self._description is None:
            raise HarnessBug("the firmware was not asked yet who it is", kind="board-state")
        return self._description

    def describe(self) -> Description:
        """Ask the firmware for its description."""
        self._description = self.client.describe()
        return self._description

    def answer_within(self, seconds: float) -> Description:
        """Wait until the firmware answers; an error does not explain the cause.

        Raises:
            InfrastructureError, ProductError: as `PseudoDriver.wait_ready`.
        """
        self._description = self.client.wait_ready(timeout=seconds)
        return self._description

    def wait_ready(self) -> Description:
        """Wait until the firmware has booted and answers; an error explains the silence as far as possible.

        Raises:
            InfrastructureError, ProductError: as `PseudoDriver.wait_ready`; ``boot-hung`` when another console spoke;
                ``emulator-limit``: it never answered, because of a limit of the emulator.
        """
        began = time.perf_counter()
        try:
            self.answer_within(self._boot_timeout)
        except (InfrastructureError, ProductError) as error:
            if self._description is None:
                limit = emulator_limit(self._board, self._combination, error.message)
                if limit is not None:
                    raise limit from error
            consoles = open_consoles(self._board)
            talking = {name: console.received for name, console in consoles.items() if console.received}
            if isinstance(error, InfrastructureError) and error.kind == "silent" and talking:
                raise spoke_elsewhere(error, consoles, talking) from None
            error.hint = "\n".join(self._emulator_quirks(consoles)) or error.hint
            raise
        self._boots.append(time.perf_counter() - began)
        return self.description

    def wait_new_boot(self) -> Description:
        """Like `wait_ready`, after a reset that takes a moment in which the previous boot still answers.

        A boot is a new one if its counter or its seed differs. If the firmware gives neither, its answer is accepted.
        If both stay the same, it is asked again for three seconds, and then tests must judge it.

        Raises:
            InfrastructureError, ProductError: as `wait_ready`.
        """
        before = _boot_of(self._description)
        deadline = time.monotonic() + _LINGERING
        console = self._board.console(self._combination.build.console)
        while True:
            try:
                now = _boot_of(self.wait_ready())
            except (InfrastructureError, ProductError):  # the reset may have come between request and answer
                if time.monotonic() > deadline:
                    raise
            else:
                if now is None or now != before or time.monotonic() > deadline:
                    return self.description
            console.wait_data(console.mark(), timeout=_LOOK_AGAIN)
            self.restart_link()

    def restart_link(self) -> None:
        """Discard bytes that were on the wire before a reset: they belong to no answer after it."""
        link = getattr(self.client, "link", None)
        if link is not None:
            link.restart()

    def _emulator_quirks(self, consoles: Mapping[str, Console]) -> tuple[str, ...]:
        """The known quirks of this emulator that explain a failed boot."""
        return hints_for(**_seen(self._board, self._combination, consoles))
