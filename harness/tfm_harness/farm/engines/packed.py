"""Transfers a session's folder between two hosts: it is packed with a size limit, and unpacked without trust."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from tfm_harness.errors import InfrastructureError

__all__ = ["MOST", "pack", "unpack"]

MOST: Final = 512 << 20
"""The most bytes of all files together."""
_FIRST: Final = ("run.json", "junit.xml", "output.txt", "report.html")
_BLOCK: Final = 1 << 20


def pack(folder: Path, most: int = MOST) -> tuple[bytes, str]:
    """A folder's regular files, zipped; the record first.

    Args:
        folder: what to pack.
        most: the most bytes of the files; files that do not fit are left out.

    Returns:
        the archive, and a text that names the files that were left out.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    files.sort(key=lambda path: (path.parent != folder or path.name not in _FIRST, path))
    left, behind = most, 0
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in files:
            size = path.stat().st_size
            if size > left:
                behind += 1
                continue
            left -= size
            archive.write(path, path.relative_to(folder).as_posix())
    return out.getvalue(), f"{behind} files were too large to travel and are lost" if behind else ""


def unpack(data: bytes, folder: Path, most: int = MOST) -> None:
    """Write an archive's files below a folder, and nowhere else.

    Raises:
        InfrastructureError: kind ``session-files``: the bytes are no such archive, it is larger than `most` bytes, or a
            name leads out of the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > most:
                raise _refused("it is too large", folder)
            for info in archive.infolist():
                name = PurePosixPath(info.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in info.filename or not name.parts:
                    raise _refused(f"it holds the name {info.filename!r}", folder)
                if info.is_dir():
                    continue
                path = folder.joinpath(*name.parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, path.open("wb") as target:
                    while block := source.read(_BLOCK):
                        target.write(block)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError) as error:
        raise _refused(f"{type(error).__name__}: {error}", folder) from error


def _refused(seen: str, folder: Path) -> InfrastructureError:
    return InfrastructureError(
        "a bench host sent no usable folder of a session", kind="session-files", seen=seen, where=str(folder),
        hint="look at that host: its disk, and the version of tfm-harness on it",
    )  # fmt: skip
