"""The mounts of this host, from the kernel's list (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfm_harness.files import read_file

__all__ = ["MOUNTS", "Mount", "read_mounts"]

MOUNTS: Final = Path("/proc/self/mountinfo")
_MOST = 4_000_000  # bytes of the list


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the list: the mount point, the file system's type, and the source (a device, or a name)."""

    point: Path
    kind: str
    source: str


def read_mounts(path: Path = MOUNTS) -> list[Mount]:
    """All mounts, in the list's order; lines of another form are left out.

    Raises:
        OSError: there is no list, or it is longer than four megabytes.
    """
    found = []
    text = read_file(path, _MOST).decode("utf-8", "surrogateescape")
    for line in text.split("\n"):  # a name may contain other characters at which splitlines() splits
        before, _, after = line.partition(" - ")
        columns, described = before.split(" "), after.split(" ")
        if len(columns) > 4 and len(described) > 1:
            found.append(Mount(Path(_plain(columns[4])), described[0], _plain(described[1])))
    return found


def _plain(word: str) -> str:
    """Decode a word: the list has blanks, tabs, line ends and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), word)
