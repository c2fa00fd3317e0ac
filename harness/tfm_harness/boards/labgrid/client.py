"""Talks to `labgrid_worker`, the process that holds a place for this session."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from tfm_harness.errors import HarnessError, InfrastructureError
from tfm_harness.processes import PIPE, start

__all__ = ["LabgridClient"]

_WORKER: Final = Path(__file__).with_name("worker.py")
_START_TIMEOUT: Final = 60.0
_RELEASE_TIMEOUT: Final = 30.0
_ANSWER_LIMIT: Final = 4 << 20


class LabgridClient:
    """One worker. It runs in a session of its own; when this process has gone, it releases the place and ends itself.

    Args:
        python: interpreter that has labgrid.
        log: the worker's (and labgrid's) standard error.

    Raises:
        InfrastructureError: kind ``tool-missing`` (no such interpreter, no labgrid in it), ``tool-hung``.
    """

    def __init__(self, python: str, log: Path) -> None:
        self._python = python
        self._log = log
        self._pending = b""
        self._held: dict[str, str] = {}
        log.parent.mkdir(parents=True, exist_ok=True)
        # The harness's own packages must not be found there: labgrid brings another pyserial.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["TMPDIR"] = str(log.parent)  # temporary files of a killed worker stay in the run's folder
        try:
            with log.open("wb") as errors:
                self._process = start(
                    [python, str(_WORKER)], stdin=PIPE, stdout=PIPE, stderr=errors, env=environment, lasting=True
                )
        except (OSError, InfrastructureError) as error:
            raise InfrastructureError(
                f"{python} cannot be run",
                kind="tool-missing",
                expected="a Python interpreter that has labgrid 26",
                seen=error.strerror if isinstance(error, OSError) else error.message,
                hint="correct `python` in the target's YAML",
            ) from error
        try:
            self.version = str(self._answer(_START_TIMEOUT)["labgrid"])
        except BaseException:
            self.close()
            raise

    def ask(self, what: str, *, limit: float, **arguments: object) -> dict[str, Any]:
        """One request.

        Raises:
            InfrastructureError: kind ``labgrid-*``, ``no-power-control``, ``tool-hung`` or ``labgrid-lost``.
        """
        try:
            stdin = self._process.stdin
            assert stdin is not None  # noqa: S101 - a pipe was asked for
            stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        except OSError as error:
            raise self._died() from error
        answer = self._answer(limit)
        if what == "acquire":
            self._held = {
                "coordinator": str(arguments["coordinator"]),
                "place": str(answer["place"]),
                "identity": str(answer["identity"]),
            }
        return answer

    def _answer(self, timeout: float) -> dict[str, Any]:
        answer = json.loads(self._line(timeout))
        if "error" in answer:
            missing = answer["error"] == "tool-missing"
            raise InfrastructureError(
                "labgrid is not installed in this interpreter" if missing else answer["message"],
                kind=answer["error"],
                seen=answer["message"] if missing else None,
                where=f"{self._python}; log: {self._log}" if missing else str(self._log),
                hint="install labgrid 26 into a virtual environment and name its interpreter in `python`"
                if missing
                else answer["hint"] or None,
            )
        return dict(answer["ok"])

    def _line(self, timeout: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - a pipe was asked for
        end = time.monotonic() + timeout
        poll = select.poll()
        poll.register(stdout, select.POLLIN)
        while b"\n" not in self._pending:
            if not poll.poll(max(end - time.monotonic(), 0) * 1000):
                raise self._hung(timeout)
            data = os.read(stdout.fileno(), 65536)
            if not data or len(self._pending) > _ANSWER_LIMIT:
                raise self._died()
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _hung(self, timeout: float) -> InfrastructureError:
        return InfrastructureError(
            "labgrid does not answer",
            kind="tool-hung",
            expected=f"an answer within {timeout:g} s",
            where=str(self._log),
            hint="check that the coordinator runs, and that the network reaches it",
        )

    def _died(self) -> InfrastructureError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        words = self._log.read_text(errors="replace").strip().splitlines()[-5:]
        return InfrastructureError(
            "the process that holds the labgrid place has ended",
            kind="labgrid-lost",
            seen=f"exit status {self._process.poll()}",
            where="\n".join([str(self._log), *words]),
            hint="`labgrid-client who` shows whether the place is still held; `labgrid-client release-from` frees it",
        )

    def close(self) -> None:
        """Release the place and end the worker. Safe to call twice."""
        for pipe in (self._process.stdin,):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_RELEASE_TIMEOUT)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        held, self._held = self._held, {}
        if held and self._process.returncode:
            self._release_for_the_dead(held)

    def _release_for_the_dead(self, held: dict[str, str]) -> None:
        """Release the place of a worker that died, by a new worker."""
        with contextlib.suppress(HarnessError):  # the coordinator may have gone, and its acquisitions with it
            successor = LabgridClient(self._python, self._log.with_suffix(".release.log"))
            try:
                successor.ask("release_from", limit=_RELEASE_TIMEOUT, **held)
            finally:
                successor.close()
