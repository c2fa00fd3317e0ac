"""Exceptions of other code which mean that the host refused something: a file, memory, a thread. They are not bugs."""

from __future__ import annotations

import traceback
from pathlib import Path

from tfm_harness.errors import InfrastructureError

__all__ = ["frames_of", "host_refusal"]


def frames_of(error: BaseException, most: int = 4) -> str:
    """The frames of an exception, the innermost last: ``file.py:line in function``, one per line."""
    frames = traceback.extract_tb(error.__traceback__)[-most:]
    return "\n".join(f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames)


def host_refusal(error: BaseException) -> InfrastructureError | None:
    """An exception by which the host refused something, as an error of kind ``host-refused``; None for any other.

    `OSError`; a loop of links, which `pathlib` gives as a `RuntimeError` before Python 3.13; no memory, and no thread
    (the interpreter gives that as a `RuntimeError` as well).
    """
    said = str(error)
    thread = isinstance(error, RuntimeError) and said == "can't start new thread"
    loop = isinstance(error, RuntimeError) and "Symlink loop" in said
    if not (isinstance(error, OSError | MemoryError) or thread or loop):
        return None
    short = isinstance(error, MemoryError) or thread
    return InfrastructureError(
        "the operating system refused something",
        kind="host-refused",
        seen=f"{type(error).__name__}: {said}"[:500],
        where=str(getattr(error, "filename", None) or frames_of(error)),
        hint="free memory, or raise the limit of this user's memory and processes (ulimit -a)"
        if short
        else "check that path, its permissions, and that there is space",
    )
