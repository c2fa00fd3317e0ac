"""A pool of boards that can replace each other: a session takes a free one.

Which board is free is decided by the boards' own locks, so that pools of several processes and sessions
share them without knowing of each other. No process of the same run takes a lost board again: its name is noted in the
run's quarantine folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tfm_harness.boards.base import Board, RunContext
from tfm_harness.boards.locks import held_here, tell
from tfm_harness.boards.registry import make_board
from tfm_harness.config.target import TargetBase
from tfm_harness.errors import ConfigError, HarnessError, InfrastructureError

__all__ = ["Pool", "members_of"]

_BUSY = frozenset({"board-busy", "labgrid-busy"})
_POLL = 0.2


def members_of(targets: Sequence[TargetBase]) -> tuple[TargetBase, ...]:
    """The single boards that `targets` describe: ``count: 4`` gives four boards, called NAME.1 to NAME.4.

    Raises:
        ConfigError: kind ``pool-shared``: ``count`` asks for several boards, but there is only one probe, port or
            place.
    """
    found: list[TargetBase] = []
    for target in targets:
        if target.count == 1:
            found.append(target)
            continue
        if target.resources():
            raise ConfigError(
                f"target {target.name!r} describes one board, not {target.count}",
                kind="pool-shared",
                expected="`count: 1`, and a target for each board",
                seen=f"`count: {target.count}` with {', '.join(target.resources())}",
                where=str(target.path or target.name),
                hint="only virtual boards and labgrid places by tags can be counted",
            )
        found += [
            target.model_copy(update={"name": f"{target.name}.{number}", "count": 1})
            for number in range(1, target.count + 1)
        ]
    return tuple(found)


class Pool:
    """Boards to choose from.

    Args:
        members: single boards, in order of preference.
        context: the folders of this process.
        quarantine: folder shared by all processes of the run.
        make: makes a board from a target.
        replaceable: when other runs hold all virtual boards, the pool may use a virtual board with a fresh identity
            instead.
    """

    def __init__(
        self,
        members: Sequence[TargetBase],
        context: RunContext,
        quarantine: Path,
        *,
        make: Callable[[TargetBase, RunContext], Board] = make_board,
        replaceable: bool = False,
    ) -> None:
        self.members = tuple(members)
        self._context = context
        self._quarantine = quarantine
        self._make = make
        self._replaceable = replaceable and not context.fresh_identity

    def first(self) -> Board:
        """A board of the pool that is not acquired: for facts that are needed before a board is taken."""
        return self._make(self.members[0], self._context)

    def take(self, *, wait: float = 0.0) -> Board:
        """A free board, acquired.

        Args:
            wait: seconds to wait for one to become free, beyond the members' own ``timeouts.acquire``.

        Raises:
            InfrastructureError: kind ``pool-lost`` when every board is in quarantine; when none is free, the last
                board's own error.
        """
        if len(self.members) == 1:
            board = self._make(self.members[0], self._context)
            self._refuse_lost()
            try:
                self._acquire(board)
            except InfrastructureError as error:
                return self._replacement(error)
            return board
        wait = max([wait, *(member.timeouts.acquire for member in self.members)])
        deadline = time.monotonic() + wait
        while True:
            self._refuse_lost()
            busy: HarnessError | None = None
            for member in self.members:
                if member.name in self.lost():
                    continue
                # Each member is tried without waiting: the pool waits for all of them together.
                board = self._make(_hasty(member), self._context)
                try:
                    self._acquire(board)
                except InfrastructureError as error:
                    if error.kind not in _BUSY:
                        self.quarantine(member.name, error)
                        continue
                    busy = error
                else:
                    return board
            if busy is not None and time.monotonic() >= deadline:
                return self._replacement(busy)
            if busy is not None:
                time.sleep(_POLL)  # locks of other processes give no event

    def _replacement(self, busy: HarnessError) -> Board:
        """A virtual board instead of the one that `busy` names, with an identity that ends with this run."""
        if busy.kind not in _BUSY or not self._replaceable:
            raise busy
        context, lost = replace(self._context, fresh_identity=True), self.lost()
        for member in self.members:
            board = self._make(_hasty(member), context)
            if member.name in lost or not board.may_be_fresh or held_here(member.name):
                continue
            try:
                self._acquire(board)
            except InfrastructureError as error:
                if error.kind not in _BUSY:
                    raise
            else:
                tell(
                    f"virtual board {member.name!r} is {busy.seen or 'in use'};"
                    " this run has one of its own, with an identity that ends with it"
                )
                return board
        raise busy

    @staticmethod
    def _acquire(board: Board) -> None:
        try:
            board.acquire()
        except BaseException:
            board.release()
            raise

    def lost(self) -> dict[str, str]:
        """Boards in quarantine, each with the reason."""
        found = {}
        if self._quarantine.is_dir():
            for file in sorted(self._quarantine.glob("*.json")):
                said = json.loads(file.read_text())
                found[str(said["board"])] = str(said["why"])
        return found

    def quarantine(self, name: str, error: HarnessError) -> None:
        """Put the board into quarantine: no process of this run takes it again."""
        self._quarantine.mkdir(parents=True, exist_ok=True)
        scratch = self._quarantine / f"{name}.{time.monotonic_ns()}"
        scratch.write_text(json.dumps({"board": name, "why": f"{error.kind}: {error.message}"}))
        scratch.rename(self._quarantine / f"{name}.json")

    def _refuse_lost(self) -> None:
        lost = self.lost()
        if all(member.name in lost for member in self.members):
            raise InfrastructureError(
                "every board of the pool was lost",
                kind="pool-lost",
                expected=f"one of {', '.join(member.name for member in self.members)}",
                seen="\n".join(f"{name}: {why}" for name, why in lost.items()),
                where=str(self._quarantine),
                hint="look at the boards; a new run tries them again",
            )


def _hasty(member: TargetBase) -> TargetBase:
    """The same target with an acquire time-out of zero."""
    timeouts = member.timeouts.model_copy(update={"acquire": 0.0})
    return member.model_copy(update={"timeouts": timeouts})
