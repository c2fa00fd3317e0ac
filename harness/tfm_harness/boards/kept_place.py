"""Where the state folder keeps the data of one board: boards differ by name, and by what is behind the name.

Two checkouts of one user have targets of the same names. Each virtual target has a board of its own, with its own
identity, memory and lock. A real target is a thing of this host, whichever file describes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfm_harness.files import open_file, resolved

if TYPE_CHECKING:
    from tfm_harness.config.target import TargetBase

__all__ = ["board_folder", "board_key", "described_by", "name_of", "note_target", "take_over"]

_NOTE: Final = "target.txt"
_MARK: Final = "@"  # target names never contain it


def board_key(target: TargetBase) -> str:
    """``NAME@DIGITS``: the target's name, and digits of a hash that distinguishes its board from others of that name.

    The hash is over the host's things behind the target, or for a virtual board over the absolute path of the target's
    file. A target with neither has only its name.
    """
    told = "\n".join(sorted(target.known_by()))
    if not told and target.path is not None:
        told = str(resolved(target.path))
    if not told:
        return target.name
    return f"{target.name}{_MARK}{hashlib.sha256(os.fsencode(told)).hexdigest()[:8]}"


def name_of(key: str) -> str:
    """The target's name in a key."""
    return key.partition(_MARK)[0]


def board_folder(target: TargetBase, state_dir: Path) -> Path:
    """The folder with the board's data. It may not exist."""
    return state_dir / "boards" / board_key(target)


def note_target(folder: Path, file: Path | None) -> None:
    """Note in a board's folder which file describes it: `described_by` reads it.

    Raises:
        OSError: it cannot be written.
    """
    if file is not None:
        note = folder / _NOTE
        note.write_bytes(os.fsencode(resolved(file)))
        note.chmod(0o600)


def described_by(folder: Path) -> str:
    """Which file describes the board of a folder; empty when that is not known."""
    with contextlib.suppress(OSError), open_file(folder / _NOTE) as stream:
        return os.fsdecode(stream.read(4096))
    return ""


def take_over(folder: Path, content: str) -> None:
    """Rename the folder that an earlier version kept under the name alone, for the first board of that name.

    Args:
        folder: the board's folder; nothing is done if it exists.
        content: a file that must be in the old folder: other kinds of boards keep other files.
    """
    old = folder.with_name(name_of(folder.name))
    if old != folder and not folder.exists() and (old / content).exists():
        with contextlib.suppress(OSError):  # another session has just taken it
            old.rename(folder)
