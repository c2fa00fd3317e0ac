"""The one place where other programs are started: emulators, tools, probes' and engines' workers.

Programs started here cannot outlive the harness, even when it is killed by SIGKILL. While they run they hold the locks
of the session's boards, so that no other session gets a board to which a tool still writes.

The kernel kills a child when the *thread* that started it ends (PR_SET_PDEATHSIG), so all children are started from one
thread that lives as long as the process. A watcher (`tfm_harness.orphans`) ends the processes that a child has started
itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, Final

from tfm_harness.errors import InfrastructureError
from tfm_harness.orphans import forget_group, registration

__all__ = [
    "DEVNULL",
    "PIPE",
    "descendants",
    "end_group",
    "end_with_parent",
    "find_program",
    "hand_on",
    "keep_back",
    "start",
]

PIPE: Final = subprocess.PIPE
DEVNULL: Final = subprocess.DEVNULL

# When PR_SET_PDEATHSIG takes effect, the parent may already have gone: then the program is not started. The process
# group is written to the watcher through the parent's own descriptor, which disappears with the parent. If somebody has
# killed the watcher, the program is started nevertheless. Core files are off: an emulator's would contain the board's
# whole RAM.
_GUARD: Final = (
    'test "$PPID" = "$1" || exit 125; trap "" PIPE; echo "+ $$" >"/proc/$1/fd/$2" || exit 125; trap - PIPE; '
    'shift 2; ulimit -c 0; exec "$@"'
)
# The same for a worker that must release something after the harness has ended: nothing kills it with the harness.
_LASTING: Final = 'test "$PPID" = "$1" || exit 125; shift 2; ulimit -c 0; exec "$@"'

_OURS_ALONE: Final = frozenset({"TFM_HARNESS_BASELINE", "TFM_HARNESS_SIGNER_PIN", "TFM_HARNESS_STORE", "PGPASSWORD"})
"""Environment variables with passwords of the database and the signer's PIN: tools do not get them."""

_Job = Callable[[], "subprocess.Popen[bytes]"]
_Jobs = queue.SimpleQueue[tuple[_Job, "Future[subprocess.Popen[bytes]]"]]


class _Spawner:
    """The thread that starts children. It is made again in a forked process, which has only the forking thread."""

    def __init__(self) -> None:
        self._jobs: _Jobs = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pid = -1

    def run(self, job: _Job) -> subprocess.Popen[bytes]:
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
            future.add_done_callback(_kill_unclaimed)  # no other code knows of this child
            raise

    @staticmethod
    def _loop(jobs: _Jobs) -> None:
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
        forget_group(process.pid)


_spawner = _Spawner()
_handed_on: set[int] = set()
_changing = threading.Lock()


def _afresh() -> None:
    """Reset the state in a forked child: the locks belong to the parent."""
    global _changing  # noqa: PLW0603 - another thread of the parent may have held it
    _changing = threading.Lock()
    _handed_on.clear()


os.register_at_fork(after_in_child=_afresh)


def hand_on(descriptor: int) -> None:
    """Pass `descriptor` to every program started from now on: its lock then lasts until the last one has ended."""
    with _changing:
        _handed_on.add(descriptor)


def keep_back(descriptor: int) -> None:
    """Do not pass `descriptor` to programs started from now on."""
    with _changing:
        _handed_on.discard(descriptor)


def start(
    argv: Sequence[str],
    *,
    stdin: int | IO[Any] = DEVNULL,
    stdout: int | IO[Any] = DEVNULL,
    stderr: int | IO[Any] = DEVNULL,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    cpu: int | None = None,
    lasting: bool = False,
    ours: bool = False,
) -> subprocess.Popen[bytes]:
    """Start `argv`, in a session and process group of its own, so that it ends with this process at the latest.

    Args:
        argv: program (a path or a name on the PATH) and arguments.
        stdin: as for `subprocess.Popen`; so are `stdout` and `stderr`.
        stdout: see `stdin`.
        stderr: see `stdin`.
        pass_fds: descriptors the child keeps, besides those of `hand_on`.
        env: its whole environment; this process's when None.
        cwd: its working folder.
        cpu: the only CPU it and its threads run on; all that this process may use when None.
        lasting: the program ends itself when its standard input ends, after it has released what it holds.
        ours: the program is a session of the harness, which may get the passwords.

    Raises:
        InfrastructureError: kind ``tool-missing`` (the program, or setpriv).
        OSError: it cannot be started.
    """
    setpriv = find_program("setpriv", "it is part of util-linux")
    program = find_program(argv[0])
    _check_format(program)
    words = ["/bin/sh", "-c", _LASTING if lasting else _GUARD, "guard", str(os.getpid())]
    guard = words if lasting else [setpriv, "--pdeathsig", "KILL", "--", *words]

    def job() -> subprocess.Popen[bytes]:
        with _changing, _bound_to(cpu):
            return subprocess.Popen(
                [*guard, str(registration()), program, *argv[1:]],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(*pass_fds, *_handed_on),
                env={n: v for n, v in (os.environ if env is None else env).items() if ours or n not in _OURS_ALONE},
                cwd=cwd,
                start_new_session=True,
                bufsize=0,
            )

    return _spawner.run(job)


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and their descendants."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for file in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has just ended
                children = [int(word) for word in file.read_text().split()]
                found += children
                waiting += children
    return found


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process's whole group, reap it, and take it off the watcher's list. Safe to call twice."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    forget_group(process.pid)


@contextlib.contextmanager
def _bound_to(cpu: int | None) -> Iterator[None]:
    """In the block, programs that this thread starts run on one CPU."""
    if cpu is None:
        yield
        return
    before = os.sched_getaffinity(0)
    try:
        with contextlib.suppress(OSError):  # the CPU was taken away meanwhile: any other CPU will do
            os.sched_setaffinity(0, {cpu})
        yield
    finally:
        os.sched_setaffinity(0, before)


def _check_format(program: str) -> None:
    """Refuse a file that this host cannot execute: a shell would run its bytes as a script."""
    try:
        heads = [_head(path) for path in (program, "/proc/self/exe")]
    except PermissionError:
        return  # a program may be executable without being readable
    kind, machine = heads[0][:4], heads[0][18:20]
    same = machine == heads[1][18:20] or machine in _ALSO.get(heads[1][18:20], ())
    foreign = set(os.listdir(_BINFMT)) - {"register", "status"} if os.path.isdir(_BINFMT) else set()  # noqa: PTH112, PTH208
    if not (kind[:2] == b"#!" or (kind == b"\x7fELF" and same) or foreign):
        raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC), program)


_BINFMT: Final = "/proc/sys/fs/binfmt_misc"
_ALSO: Final = {b"\x3e\x00": (b"\x03\x00",), b"\xb7\x00": (b"\x28\x00",)}
"""ELF's e_machine of programs that a host runs beside its own: x86-64 runs 80386, AArch64 runs Arm."""


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(20)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when `parent` ends; do nothing if `parent` is not the parent.

    It is for processes that other code starts, such as pytest-xdist's test processes, which otherwise end seconds
    later.
    """
    if os.getppid() == parent and hasattr(signal, "SIGKILL"):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os.kill(os.getpid(), signal.SIGKILL)


_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def find_program(name: str, hint: str | None = None) -> str:
    """The path of a program.

    Raises:
        InfrastructureError: kind ``tool-missing``.
    """
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
