"""Digests of whole folders: the harness itself, and suites."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from tfm_harness.files import TEXT_LIMIT, read_file

__all__ = ["folder_digest", "package_digest"]

_LEFT_OUT = frozenset({"__pycache__", "_bundled"})


def folder_digest(folder: Path) -> str:
    """SHA-256, hex, over the files of a folder and of the folders in it, by name.

    The hash is taken over these bytes of each file, in the order of paths: the path with ``/``, a NUL, and the 32 bytes
    of the file's SHA-256. Caches of Python and files that cannot be read are left out.
    """
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda found: found.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        if _LEFT_OUT.intersection(name.parts) or not path.is_file():
            continue
        try:
            content = hashlib.sha256(read_file(path, TEXT_LIMIT)).digest()
        except OSError:
            continue
        whole.update(name.as_posix().encode() + b"\0" + content)
    return whole.hexdigest()


@cache
def package_digest() -> str:
    """`folder_digest` of the installed package ``tfm_harness``, without the other content that it carries."""
    return folder_digest(Path(__file__).resolve().parents[1])
