"""Helpers (emulators, probes' workers) with a log; they end with the harness at the latest (see `processes`)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfm_harness.errors import InfrastructureError
from tfm_harness.files import read_end
from tfm_harness.orphans import forget_group
from tfm_harness.processes import DEVNULL, start

__all__ = ["Child", "spawn", "wait_until"]


class Child:
    """A running helper with its own process group.

    Attributes:
        argv: the program and its arguments.
        stderr_path: where its standard error and output go.
    """

    def __init__(self, process: subprocess.Popen[bytes], argv: Sequence[str], stderr_path: Path) -> None:
        self._process = process
        self.argv = tuple(argv)
        self.stderr_path = stderr_path
        self._forgotten = False

    @property
    def pid(self) -> int:
        """Its process id (and group id)."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit status as `subprocess` gives it (minus the signal's number), or None while it runs."""
        return self._process.poll()

    def frozen(self) -> bool:
        """Whether the kernel has stopped it: somebody sent SIGSTOP, or a debugger holds it."""
        try:
            told = Path(f"/proc/{self.pid}/stat").read_bytes()
        except OSError:
            return False
        return told.rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])  # proc(5): the state comes after the name

    def raise_if_frozen(self, name: str) -> None:
        """Raise if the process is stopped: then an emulated board prints nothing because its program does not run.

        Raises:
            InfrastructureError: kind ``emulator-frozen``.
        """
        if self.frozen():
            raise InfrastructureError(
                f"the emulator of board {name!r} is stopped: its firmware cannot say anything",
                kind="emulator-frozen",
                expected="a running process",
                seen=f"process {self.pid} is held by a stop signal or by a debugger",
                hint=f"let it continue (kill -CONT {self.pid}), or start the board again",
            )

    def wait(self, timeout: float) -> int | None:
        """Wait for its end; None when it still runs after `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def kill(self) -> None:
        """Kill the whole process group and reap the child. Safe to call twice."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._forget()

    def _forget(self) -> None:
        if not self._forgotten:
            self._forgotten = True
            forget_group(self.pid)

    def terminate(self, grace: float = 2.0) -> int | None:
        """Ask it to end, and kill it if it has not ended within `grace` seconds. Returns its exit status."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
            if self.wait(grace) is None:
                self.kill()
        self._forget()
        return self._process.poll()

    def last_words(self, lines: int = 10) -> str:
        """The last lines it wrote to standard error (and output)."""
        with contextlib.suppress(OSError):
            text = read_end(self.stderr_path, 16384).decode(errors="replace")
            return "\n".join(line.rstrip()[:300] for line in text.strip().splitlines()[-lines:])
        return ""

    def ended(self) -> str:
        """How it ended, in words."""
        code = self._process.poll()
        if code is None:
            return "still running"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"


def spawn(
    argv: Sequence[str],
    *,
    stderr_path: Path,
    stdin: int | None = None,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    cpu: int | None = None,
) -> Child:
    """Start `argv` so that it ends with this process at the latest.

    Args:
        argv: program (a path or a name on the PATH) and arguments.
        stderr_path: file for standard error and output; truncated.
        stdin: descriptor for standard input; without one it is empty.
        stdout: descriptor for standard output; without one it is the file.
        pass_fds: descriptors the child keeps.
        env: its whole environment; this process's when None.
        cwd: its working folder.
        cpu: the only CPU it and its threads run on; all that this process may use when None.

    Raises:
        InfrastructureError: kind ``tool-missing`` (the program, or setpriv) or ``tool-start``.
    """
    try:
        stderr_path.parent.mkdir(parents=True, exist_ok=True)
        with stderr_path.open("wb") as errors:
            output = errors if stdout is None else stdout
            given = DEVNULL if stdin is None else stdin
            process = start(
                argv, stdin=given, stdout=output, stderr=errors, pass_fds=pass_fds, env=env, cwd=cwd, cpu=cpu
            )
    except OSError as error:
        raise InfrastructureError(
            f"cannot start {argv[0]}: {error.strerror}", kind="tool-start", where=str(error.filename or stderr_path)
        ) from error
    return Child(process, argv, stderr_path)


def wait_until(condition: Callable[[], bool], timeout: float, step: float = 0.005) -> bool:
    """Poll `condition`, for changes that the kernel reports by no event. Returns False on time-out."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(step)
    return True
