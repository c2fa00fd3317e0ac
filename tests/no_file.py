"""What is named as a file and is none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ["KINDS", "make_no_file"]

KINDS = ("FIFO", "endless", "folder", "huge", "loop", "binary", "socket", "missing", "forbidden")


def make_no_file(kind: str, path: Path) -> None:
    """Make what is no file of the kind that is wanted, at a place where nothing is."""
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 40)  # a hole: it takes no room on the disk
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "binary":
        path.write_bytes(bytes(range(256)) * 40)
    elif kind == "forbidden":
        path.write_text("{}")
        path.chmod(0)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))  # its name stays
