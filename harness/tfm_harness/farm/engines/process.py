"""One session in a process of its own: it is started with a guard, ended as by Ctrl-C, and at last killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tfm_harness import processes
from tfm_harness.config.environment import PREFIX
from tfm_harness.errors import InfrastructureError
from tfm_harness.farm.engines.base import Finished, Job, session_words

__all__ = ["GRACE", "Session"]

GRACE: Final = 45.0
"""Seconds in which a session that was asked to end must give its board back and write its record."""
_ONLY_THE_FARMS: Final = tuple(
    PREFIX + name
    for name in ("TARGET", "BUILD", "POOL", "BOARD", "ONLY", "POLICY", "QUICK", "RUN_DIR", "HTML_REPORT", "EVIDENCE",
                 "FAIL_UNDER_COVERAGE", "FRESH_IDENTITY", "DETERMINISTIC", "STORE")
)  # fmt: skip
"""Variables whose settings come from the farm file: those of the night's own environment do not reach a session."""


class Session:
    """A running session.

    Args:
        job: what to run.
        folder: its folder, which is created here; the process's output goes to ``output.txt`` in it.
        state: the state folder; empty: the user's own.
        clock: a monotonic clock in seconds.
        environment: variables that are added to this process's environment.

    Raises:
        InfrastructureError: kind ``session-start``.
    """

    def __init__(
        self, job: Job, folder: Path, *, state: str = "", clock: Callable[[], float] = time.monotonic,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.job = job
        self.folder = folder
        self._clock = clock
        self._ended = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if job.only:
                (folder / "only.txt").write_text("".join(f"{nodeid}\n" for nodeid in job.only), encoding="utf-8")
            with (folder / "output.txt").open("ab") as output:
                self.process = processes.start(
                    [sys.executable, "-m", *session_words(job, str(folder), state)],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=_environment(environment or {}),
                    ours=True,
                )
        except OSError as error:
            raise InfrastructureError(
                f"the session {job.session} cannot be started",
                kind="session-start",
                seen=str(error),
                where=str(folder),
                hint="check free space and permissions of the folder of results",
            ) from error
        self._began = clock()
        self._deadline = self._began + job.seconds
        self._by_force: float | None = None

    def stop(self, why: str = "night") -> None:
        """Ask the session to end; it is killed if it does not end within `GRACE`. Only the first call counts."""
        if self._by_force is None:
            self._ended = why
            self._by_force = self._clock() + GRACE
            # This ends it as Ctrl-C would; processes that a script started in the background ignore SIGINT itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)

    def poll(self) -> Finished | None:
        """The end of the session; None while it runs. This also enforces its limits."""
        code = self.process.poll()
        now = self._clock()
        if code is None:
            if self._by_force is not None and now >= self._by_force:
                self.kill()
                code = self.process.poll()
            elif now >= self._deadline:
                self.stop("time")
        if code is None:
            return None
        processes.end_group(self.process)
        return Finished(
            session=self.job.session,
            code=code,
            ended=self._ended,  # type: ignore[arg-type]  # one of the words that `stop` was given
            host=os.uname().nodename,
            seconds=round(now - self._began, 3),
        )

    def kill(self) -> None:
        """Kill the session at once. Safe to call twice."""
        processes.end_group(self.process)


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ONLY_THE_FARMS}
    return {**kept, **added}
