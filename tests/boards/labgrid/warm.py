"""Labgrid sessions whose workers are forked: importing labgrid takes most of the time of a new one.

What is about the worker's process itself (its start, its end, what it leaves) has the real interpreter.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfm_harness.boards.labgrid import client

from tests.boards.forking import forking, worker_words
from tests.boards.labgrid.kit import clean_environment

__all__ = ["warm_python"]

_LOADED = (
    "labgrid.util", "labgrid.factory", "labgrid.remote.client", "labgrid.resource.remote", "labgrid.driver",
)  # fmt: skip


@contextmanager
def warm_python(python: Path, folder: Path) -> Iterator[Path]:
    """What a target names as the interpreter that has labgrid."""
    folder.mkdir(parents=True)
    with forking(str(python), folder, [str(client._WORKER), *_LOADED], clean_environment()) as socket:
        found = folder / "python"
        words = shlex.join(worker_words(socket))
        found.write_text(
            f'#!/bin/sh\ntest "$1" = {shlex.quote(str(client._WORKER))} || exit 2\nshift\nexec {words} "$@"\n'
        )
        found.chmod(0o700)
        yield found
