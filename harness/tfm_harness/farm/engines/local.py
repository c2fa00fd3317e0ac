"""Sessions on this host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from tfm_harness.farm.engines.base import Finished, Job, look_until
from tfm_harness.farm.engines.process import Session

__all__ = ["LocalEngine"]

_LOOK: Final = 0.1


class LocalEngine:
    """Runs each session in a process of its own on this host; none of them outlives this process.

    Args:
        state: the state folder; empty: the user's own.
        environment: variables that are added to the sessions' environment.
    """

    def __init__(self, *, state: str = "", environment: Mapping[str, str] | None = None) -> None:
        self._state = state
        self._environment = environment or {}
        self._running: dict[str, Session] = {}

    def start(self, job: Job, folder: Path) -> None:
        """As `Engine.start`.

        Raises:
            InfrastructureError: kind ``session-start``.
        """
        self._running[job.session] = Session(job, folder, state=self._state, environment=self._environment)

    def wait(self, seconds: float) -> list[Finished]:
        """As `Engine.wait`."""
        return look_until(self._ended, seconds, every=_LOOK)

    def _ended(self) -> list[Finished]:
        found = [done for session in self._running.values() if (done := session.poll()) is not None]
        for done in found:
            del self._running[done.session]
        return found

    def stop(self, sessions: Collection[str]) -> None:
        """As `Engine.stop`."""
        for name in sessions:
            if name in self._running:
                self._running[name].stop()

    def absent(self, boards: Iterable[str]) -> set[str]:
        """No boards: a problem with a board of this host is found by its golden build."""
        del boards
        return set()

    def close(self) -> None:
        """As `Engine.close`."""
        for session in self._running.values():
            session.kill()
        self._running.clear()
