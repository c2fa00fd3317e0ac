"""Starting helpers (emulators, simulators) that cannot outlive the harness, even when it is killed by SIGKILL.

The kernel kills the child when the *thread* that started it ends (PR_SET_PDEATHSIG), so all children are
started from one thread that lives as long as the process. What a child has started itself is ended by a watcher
(`tfm_harness.boards.orphans`).
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from tfm_harness.boards.orphans import forget_group, registration
from tfm_harness.errors import InfrastructureError

__all__ = ["Child", "spawn", "wait_until"]

# After PR_SET_PDEATHSIG is in force the parent may already be gone: then nothing is started. The process group is told
# to the watcher (fd 0 until the program starts); a watcher that somebody has killed is no reason to start nothing. No
# core files: an emulator's would hold the whole RAM of the board.
_GUARD: Final = (
    'test "$PPID" = "$1" || exit 125; shift; trap "" PIPE; echo "+ $$" >&0; trap - PIPE; ulimit -c 0; '
    'exec "$@" </dev/null'
)


class _Spawner:
    """The thread that starts children. Made again in a forked process, where threads do not live on."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._jobs = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pid = -1

    def run(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._pid != os.getpid():
                self._jobs = queue.SimpleQueue()
                threading.Thread(target=self._loop, args=(self._jobs,), name="spawner", daemon=True).start()
                self._pid = os.getpid()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((job, future))
        try:
            return future.result()
        except KeyboardInterrupt:
            future.add_done_callback(_kill_unclaimed)  # nobody will ever know of this child
            raise

    @staticmethod
    def _loop(
        jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]],
    ) -> None:
        while True:
            job, future = jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - it is raised again where the job came from
                future.set_exception(error)
            del job, future


def _kill_unclaimed(future: Future[subprocess.Popen[bytes]]) -> None:
    if future.exception() is None:
        process = future.result()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


_spawner = _Spawner()


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
        """Ask it to end, and kill it when it has not within `grace` seconds; its exit status."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
            if self.wait(grace) is None:
                self.kill()
        self._forget()
        return self._process.poll()

    def last_words(self, lines: int = 10) -> str:
        """The last lines it wrote to standard error (and output)."""
        with contextlib.suppress(OSError), self.stderr_path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(stream.tell() - 16384, 0))
            text = stream.read().decode(errors="replace")
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
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    cpu: int | None = None,
) -> Child:
    """Start `argv` so that it ends with this process at the latest.

    Args:
        argv: program (a path or a name on the PATH) and arguments.
        stderr_path: file for standard error and output; truncated.
        pass_fds: descriptors the child keeps.
        env: its whole environment; this process's when None.
        cwd: its working folder.
        cpu: the only CPU it and its threads run on; all that this process may use when None.

    Raises:
        InfrastructureError: kind ``tool-missing`` (the program, or setpriv) or ``tool-start``.
    """
    setpriv = _tool("setpriv", "it is part of util-linux")
    program = _tool(argv[0], None)
    full = [
        setpriv,
        "--pdeathsig",
        "KILL",
        "--",
        "/bin/sh",
        "-c",
        _GUARD,
        "guard",
        str(os.getpid()),
        program,
        *argv[1:],
    ]

    def start() -> subprocess.Popen[bytes]:
        with stderr_path.open("wb") as errors, _bound_to(cpu):
            return subprocess.Popen(
                full,
                stdin=registration(),
                stdout=errors,
                stderr=errors,
                pass_fds=pass_fds,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )

    try:
        stderr_path.parent.mkdir(parents=True, exist_ok=True)
        process = _spawner.run(start)
    except OSError as error:
        raise InfrastructureError(
            f"cannot start {argv[0]}: {error.strerror}", kind="tool-start", where=str(error.filename or stderr_path)
        ) from error
    return Child(process, argv, stderr_path)


@contextlib.contextmanager
def _bound_to(cpu: int | None) -> Iterator[None]:
    """What this thread starts meanwhile stays on one CPU."""
    if cpu is None:
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        with contextlib.suppress(OSError):  # a CPU that was taken away meanwhile: any other will do
            os.sched_setaffinity(0, {cpu})
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tool(name: str, hint: str | None) -> str:
    path = shutil.which(name)
    if path is None:
        raise InfrastructureError(
            f"{name} was not found",
            kind="tool-missing",
            expected=f"{name} on the PATH" if os.sep not in name else f"an executable {name}",
            where=f"PATH={os.environ.get('PATH', '')}",
            hint=hint,
        )
    return path


def wait_until(condition: Callable[[], bool], timeout: float, step: float = 0.005) -> bool:
    """Poll `condition` for what the kernel gives no event for; False on timeout."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(step)
    return True
