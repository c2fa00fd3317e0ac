"""Locks on boards: the kernel releases them when their holder dies, however it dies.

Open-file-description locks (Linux) on files: in the state folder for virtual boards, in one folder of the host for
physical things (see `tfm_harness.boards.lock_files`). The files stay. Their text about the holder is read only while
the lock is held, and is untrusted: another user may have written it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import struct
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfm_harness.boards.kept_place import board_key
from tfm_harness.boards.lock_files import (
    claim,
    claimed_by,
    host_folder,
    is_current,
    make_folder,
    open_lock_file,
    user_name,
)
from tfm_harness.errors import InfrastructureError
from tfm_harness.files import open_file
from tfm_harness.order import natural
from tfm_harness.processes import hand_on, keep_back
from tfm_harness.safe_text import safe

if TYPE_CHECKING:
    from tfm_harness.config.target import TargetBase

__all__ = [
    "BoardLock",
    "BoardUse",
    "acquire_all",
    "acquire_numbered",
    "board_locks",
    "held_here",
    "list_boards",
    "list_host",
    "resource_locks",
    "tell",
    "told_by",
]

_FLOCK: Final = "hhqqi4x"  # struct flock: l_type, l_whence, l_start, l_len, l_pid
_POLL: Final = 0.05
_MOST_NUMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class BoardUse:
    """A board, or a physical thing that boards share, and who holds it.

    Attributes:
        name: the board's or resource's name.
        locked: whether some living process holds it now.
        holder: what the holder wrote about itself: ``pid``, ``since`` (UTC, ISO 8601), ``command``, ``target``,
            ``run_dir``, ...
        path: the lock file.
    """

    name: str
    locked: bool
    holder: Mapping[str, str] = field(default_factory=dict)
    path: Path = Path()


def lock_dir(state_dir: Path) -> Path:
    """Where the lock files are."""
    return state_dir / "locks"


def resource_locks(names: Iterable[str], state_dir: Path, about: Mapping[str, str]) -> list[BoardLock]:
    """Locks on physical things, for all users of the host."""
    return [BoardLock(name, state_dir, about, shared=True) for name in names]


def board_locks(target: TargetBase, state_dir: Path, about: Mapping[str, str]) -> list[BoardLock]:
    """The locks that a session holds while it uses a board: on the board itself, and on the host's things behind it.

    Boards of the same name from two checkouts exclude each other only if they share such a thing.
    """
    board = BoardLock(target.name, state_dir, about, key=board_key(target))
    return [board, *resource_locks(target.resources(), state_dir, about)]


def _file_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~@-]{0,100}", name):
        return f"{name}.lock"
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:60]
    return f"~{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}.lock"


def _flock(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - commands have no other place for it


_tell: list[Callable[[str], None]] = [_to_stderr]


def tell(text: str) -> None:
    """Print one line for the user who waits at the terminal."""
    _tell[-1](text)


@contextlib.contextmanager
def told_by(say: Callable[[str], None]) -> Iterator[None]:
    """For the block, pass lines about waiting to `say` (a test runner captures stderr)."""
    _tell.append(say)
    try:
        yield
    finally:
        _tell.remove(say)


# A forked child shares the open file description and would keep the lock when the parent dies.
_held: weakref.WeakSet[BoardLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_held):
        lock._abandon()  # noqa: SLF001 - same module


os.register_at_fork(after_in_child=_forget_in_child)


class BoardLock:
    """The exclusive use of one board, or of one physical thing.

    Args:
        name: what is locked.
        state_dir: the user's state folder.
        about: what other sessions can read about the holder (``target``, ``run_dir``).
        shared: the thing belongs to the host, not to the user: the lock excludes other users, too.
        passing: the lock file is removed when the lock is released.
        key: identifies what is locked, if the name alone does not.
    """

    def __init__(
        self,
        name: str,
        state_dir: Path,
        about: Mapping[str, str] | None = None,
        *,
        shared: bool = False,
        passing: bool = False,
        key: str = "",
    ) -> None:
        self.name = name
        self._passing = passing
        self.shared = shared
        self.path = (host_folder() if shared else lock_dir(state_dir)) / _file_name(key or name)
        self._about = {} if shared else dict(about or {})  # other users need not see this user's paths
        self._fd = -1
        self._claim: socket.socket | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    def acquire(self, timeout: float = 0.0) -> None:
        """Take the lock, waiting up to `timeout` seconds.

        Raises:
            InfrastructureError: kind ``board-busy`` naming the holder, or ``lock-file`` when the file cannot be used.
        """
        if self.held:
            return
        deadline = time.monotonic() + timeout
        told = False
        try:
            make_folder(self.path.parent, shared=self.shared)
            while not self._take():
                if not told and time.monotonic() < deadline:
                    told = True
                    tell(f"waiting up to {round(timeout, 1):g} s for board {self.name!r}: held by {_holder(self.path)}")
                self._wait(deadline, timeout)
        except OSError as error:
            raise self._file_error(error) from error
        _held.add(self)
        hand_on(self._fd)

    def _take(self) -> bool:
        """Try once to lock the file at the path and to bind the socket named after it: both or neither."""
        fd = open_lock_file(self.path, shared=self.shared)
        mine: socket.socket | None = None
        try:
            mine = self._try(fd)
            if mine is not None:
                self._describe(fd)
                self._fd, self._claim = fd, mine
        finally:
            if self._fd < 0:
                os.close(fd)
                if mine is not None:
                    mine.close()
        return self._fd >= 0

    def _wait(self, deadline: float, timeout: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._busy(timeout)
        time.sleep(min(_POLL, left))

    def _try(self, fd: int) -> socket.socket | None:
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_WRLCK))
        except BlockingIOError:
            return None
        return claim(self.path) if is_current(fd, self.path) else None

    def _describe(self, fd: int) -> None:
        words = {
            "name": self.name,
            "pid": str(os.getpid()),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "user": user_name(os.geteuid()),
            "command": _program() if self.shared else _command_line(),
            **self._about,
        }
        data = json.dumps(words).encode()
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))

    def release(self) -> None:
        """Give the lock back. Safe to call twice."""
        if self.held:
            keep_back(self._fd)
            with contextlib.suppress(OSError):
                if self._passing:  # while it is held: a waiting session checks that the file is still there
                    self.path.unlink()
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            with contextlib.suppress(OSError):  # a tool that still runs in the background shares the descriptor
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK))
            self._abandon()
            _held.discard(self)

    def _abandon(self) -> None:
        if self.held:
            os.close(self._fd)
            self._fd = -1
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _busy(self, timeout: float) -> InfrastructureError:
        waited = f" (waited {round(timeout, 1):g} s)" if timeout else ""
        return InfrastructureError(
            f"board {self.name!r} is in use{waited}",
            kind="board-busy",
            expected="a free board",
            seen=f"held by {_holder(self.path)}",
            where=str(self.path),
            hint="wait for it (timeouts.acquire in the target), use another target, or end that process; a virtual"
            " board of your own comes with --fresh-identity or another --state-dir",
        )

    def _file_error(self, error: OSError) -> InfrastructureError:
        return InfrastructureError(
            f"cannot use the lock of board {self.name!r}: {error.strerror}",
            kind="lock-file",
            where=str(self.path),
            hint="the folder must be on a local file system, and writable: TFM_HARNESS_LOCK_DIR names another one"
            if self.shared
            else "the state folder must be a local, writable file system",
        )


def _command_line() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/self/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:200]
    return ""


def _program() -> str:
    """The running program without its arguments, which other users must not read."""
    return _command_line().partition(" ")[0].rpartition("/")[2]


def _holder(path: Path) -> str:
    """Who holds the lock file, in words; what the kernel reports goes before what the file says."""
    written, told = _look(path).holder, claimed_by(path)
    since = told.pop("since", "an unknown time")
    holder = {"since": since, **written, **told}
    if "pid" not in holder:
        return "another process"
    user = f" of user {holder['user']}" if holder.get("user", "") not in {"", user_name(os.geteuid())} else ""
    command = f": {holder['command']}" if holder.get("command") else ""
    return safe(f"process {holder['pid']}{user} since {holder['since']}{command}").replace("\n", " ")


def _look(path: Path) -> BoardUse:
    """Who holds the lock file, without touching the lock."""
    name = path.name.removesuffix(".lock")
    try:
        with open_file(path) as stream:
            answer = fcntl.fcntl(stream.fileno(), fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK))
            locked = struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK
            text = stream.read(16384)
    except OSError:
        return BoardUse(name, locked=False, path=path)
    holder: dict[str, str] = {}
    with contextlib.suppress(ValueError, RecursionError):
        words = json.loads(text)
        if isinstance(words, dict):
            holder = {key: value[:300] for key, value in list(words.items())[:20] if isinstance(value, str)}
    if _file_name(holder.get("name", "")) == path.name:
        name = holder["name"]
    return BoardUse(name, locked, holder if locked else {}, path)


def _uses_in(folder: Path) -> list[BoardUse]:
    return [_look(path) for path in sorted(folder.glob("*.lock"), key=lambda path: natural(path.name))]


def held_here(name: str) -> bool:
    """Whether this process itself holds something of that name."""
    return any(lock.name == name for lock in _held)


def list_boards(state_dir: Path) -> list[BoardUse]:
    """Every board that was ever used from this state folder, and who holds it now."""
    return _uses_in(lock_dir(state_dir))


def list_host() -> list[BoardUse]:
    """Every thing of the host that any user ever locked, and who holds it now."""
    return _uses_in(host_folder())


def acquire_all(locks: list[BoardLock], timeout: float) -> None:
    """Take all `locks` or none, always in the same order, so that two sessions cannot block each other."""
    deadline = time.monotonic() + timeout
    taken: list[BoardLock] = []
    try:
        for lock in sorted(locks, key=lambda lock: lock.path.name):
            lock.acquire(max(deadline - time.monotonic(), 0.0))
            taken.append(lock)
    except BaseException:
        for lock in taken:
            lock.release()
        raise


def acquire_numbered(target: TargetBase, state_dir: Path, about: Mapping[str, str]) -> BoardLock:
    """The lock of the first free board of ``NAME~0``, ``NAME~1``, ...: others see by it that the board is in use.

    Raises:
        InfrastructureError: kind ``board-busy`` when 256 are in use.
    """
    key = board_key(target)
    for number in range(_MOST_NUMBERED - 1):
        lock = BoardLock(target.name, state_dir, about, key=f"{key}~{number}")
        try:
            lock.acquire()
        except InfrastructureError as error:
            if error.kind != "board-busy":
                raise
        else:
            return lock
    last = BoardLock(target.name, state_dir, about, key=f"{key}~{_MOST_NUMBERED - 1}")
    last.acquire()
    return last
