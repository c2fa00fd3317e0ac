"""Lock files: their folder, how they are opened among users who do not trust each other, and the kernel's own record.

Things of the host (a tty, a port, a probe, a disk, a place) are locked in one folder for all users, things of a user
(virtual boards) in the user's state folder. A file can be removed or overwritten by others. Therefore each lock is a
lock on a file *and* an abstract Unix socket named after the file's path: that cannot be removed, it ends with its
process, and the kernel tells who holds it. The socket is seen within one network namespace, the file wherever the
folder is: containers that share a board share the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pwd
import socket
import stat
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tfm_harness.files import resolved

__all__ = ["claim", "claimed_by", "host_folder", "is_current", "make_folder", "open_lock_file", "user_name"]

_SHARED: Final = 0o1777
_OWNER_TIME: Final = 2.0


def host_folder() -> Path:
    """The folder of locks on what belongs to the host.

    ``TFM_HARNESS_LOCK_DIR``; else ``/run/lock/tfm-harness``; if not every user may write below ``/run/lock``,
    ``/tmp/tfm-harness-locks``.
    """
    if given := os.environ.get("TFM_HARNESS_LOCK_DIR"):
        return Path(given)
    with contextlib.suppress(OSError):
        mode = Path("/run/lock").stat().st_mode
        if stat.S_ISDIR(mode) and mode & _SHARED == _SHARED:
            return Path("/run/lock/tfm-harness")
    return Path("/tmp/tfm-harness-locks")  # noqa: S108 - sticky, and what lies there already is checked


def make_folder(folder: Path, *, shared: bool) -> None:
    """Make the folder. A shared one is for all users: sticky, mode 1777 whatever the umask.

    Raises:
        OSError: it cannot be made, or something else than such a folder is there.
    """
    if not shared:
        folder.mkdir(parents=True, exist_ok=True)
        return
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(_SHARED)
    except FileExistsError:
        pass
    deadline = time.monotonic() + _OWNER_TIME
    while True:
        found = os.lstat(folder)
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(folder))
        if found.st_mode & _SHARED == _SHARED or os.environ.get("TFM_HARNESS_LOCK_DIR"):
            return
        if found.st_uid == os.geteuid():
            folder.chmod(_SHARED)  # its maker was killed between the two calls
        elif time.monotonic() > deadline:
            raise PermissionError(errno.EPERM, f"its mode is {stat.S_IMODE(found.st_mode):o}, not 1777", str(folder))
        time.sleep(0.01)


def open_lock_file(path: Path, *, shared: bool) -> int:
    """Open the lock file, made when it is missing; refuse links and whatever is not a regular file.

    Raises:
        OSError: it cannot be used.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        # Without O_CREAT first: in a sticky folder Linux refuses that for others' files (fs.protected_regular).
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, flags)
            break
        with contextlib.suppress(FileExistsError):
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            if shared:
                os.fchmod(fd, 0o666)
            break
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(fd)
        raise OSError(errno.EINVAL, "it is a link to another file, or no file", str(path))
    return fd


def is_current(fd: int, path: Path) -> bool:
    """Whether `path` still names the opened file: somebody may have removed or replaced it meanwhile."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)


def _address(path: Path) -> bytes:
    name = hashlib.sha256(os.fsencode(resolved(path.parent) / path.name)).hexdigest()[:40]
    return b"\0tfm-harness/" + name.encode()


def claim(path: Path) -> socket.socket | None:
    """Bind the socket that represents the lock; None when another process has it.

    Raises:
        OSError: the kernel refuses for another reason.
    """
    mine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        mine.bind(_address(path))
        mine.listen(64)  # connections are never answered: connecting is enough to learn who listens
    except OSError as error:
        mine.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return mine


def claimed_by(path: Path) -> dict[str, str]:
    """The lock's holder as the kernel reports it: ``pid``, ``user``, ``since``; empty when it is free or not known."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asking:
            asking.setblocking(False)
            asking.connect(_address(path))
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return {}
    pid, uid, _ = struct.unpack("3i", told)
    return {"pid": str(pid), "user": user_name(uid), **_since(pid)}


def user_name(uid: int) -> str:
    """The user's name, or the number if the user has no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _since(pid: int) -> dict[str, str]:
    """The time at which a process started."""
    with contextlib.suppress(OSError):
        began = Path(f"/proc/{pid}").stat().st_ctime
        return {"since": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")}
    return {}
