"""Reads files that a user names, with a limit; writes files of the harness, completely or not at all.

Anything but a regular file is refused at once, and so is a file without end.

A path may lead to a FIFO without a writer, to ``/dev/zero``, to a folder, or to a file that grows while it is
read. Reading such a thing must neither block nor fill the memory.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tfm_harness.errors import ConfigError, InfrastructureError

__all__ = [
    "IMAGE_LIMIT",
    "KEY_LIMIT",
    "MODEL_LIMIT",
    "TEXT_LIMIT",
    "expanded",
    "home",
    "open_file",
    "read_end",
    "read_file",
    "read_most",
    "resolved",
    "whole_file",
    "write_file",
]

KEY_LIMIT: Final = 1 << 20
"""Most bytes of a key, certificate, token or result, in any text form."""
TEXT_LIMIT: Final = 16 << 20
"""Most bytes of a configuration file or another text written by people."""
MODEL_LIMIT: Final = 256 << 20
"""Most bytes of a model."""
IMAGE_LIMIT: Final = 256 << 20
"""Most bytes of a firmware image, which may be a hex file."""


_PIECE: Final = 1 << 20


def resolved(path: Path) -> Path:
    """The absolute path with all links followed.

    A loop of links raises nothing, unlike in `Path.resolve` of Python before 3.13: the code that opens the path reports
    the loop.
    """
    return Path(os.path.realpath(path))


def expanded(path: Path) -> Path:
    """The path with ``~`` and ``~user`` replaced.

    Raises:
        ConfigError: kind ``no-home``: there is no such user, or the home folder is not known.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigError(
            "a home folder is not known",
            kind="no-home",
            seen=f"{error} ({path})",
            hint="set HOME, or write the path from the root on",
        ) from error


def home() -> Path:
    """The user's home folder. Raises as `expanded` does."""
    return expanded(Path("~"))


def open_file(path: Path, limit: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading from its beginning, if it is too large to be read at once.

    Raises:
        OSError: it cannot be opened, is no regular file, or is longer than `limit` bytes (``strerror`` says which).
    """
    # Without O_NONBLOCK, opening a FIFO waits until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))  # noqa: TRY301 - the descriptor is closed below
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, f"it is {_kind(mode)}, not a file", str(path))  # noqa: TRY301 - same
        if limit is not None and status.st_size > limit:
            raise OSError(errno.EFBIG, f"it is longer than {limit} bytes", str(path))  # noqa: TRY301 - same
        file = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    return file


def read_file(path: Path, limit: int) -> bytes:
    """The bytes of a regular file, `limit` at most.

    Raises:
        OSError: as `open_file`; or it is longer than `limit` (also when it grows while it is read).
    """
    with open_file(path, limit) as file:
        data = read_most(file, limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is longer than {limit} bytes", str(path))
    return data


def read_most(file: io.BufferedReader, most: int) -> bytes:
    """Read a regular file from the present position on, `most` bytes at most."""
    # Not all at once: read() allocates the size it is given, even for a short file. The file may grow meanwhile.
    data = file.read(min(os.fstat(file.fileno()).st_size + 1, most))
    while len(data) < most and (more := file.read(min(_PIECE, most - len(data)))):
        data += more
    return data


def read_end(path: Path, size: int) -> bytes:
    """The last `size` bytes of a regular file. Raises `OSError` as `open_file` does."""
    with open_file(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read(size)


@contextlib.contextmanager
def whole_file(path: Path, prefix: str) -> Iterator[io.BufferedWriter]:
    """A file that replaces `path` when the block ends; if the block raises, `path` stays as it was.

    Args:
        path: the file; its folder is made.
        prefix: the beginning of the temporary file's name in the same folder.

    Raises:
        OSError: the disk is full, or the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.parent / f"{prefix}{os.urandom(8).hex()}"  # with the user's umask, unlike tempfile's
    with scratch.open("xb") as out:
        try:
            yield out
            out.close()
            scratch.replace(path)
        except BaseException:
            scratch.unlink()
            raise


def write_file(path: Path, data: bytes, what: str = "file") -> None:
    """Write to a path that a user names, which may be a device or a pipe.

    Args:
        path: where.
        data: what.
        what: its name in the error if it cannot be written.

    Raises:
        InfrastructureError: kind ``report-write``.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InfrastructureError(
            f"the {what} cannot be written", kind="report-write", seen=str(error), where=str(path)
        ) from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device",
             stat.S_IFSOCK: "a socket"}  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "something else")
