"""Runs one piece of work in a thread while a block goes on."""

from __future__ import annotations

import _thread
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["beside"]

T = TypeVar("T")


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Do `work` in a thread; what it gives or raises is the future's result. It has ended when the block is left."""
    found: Future[T] = Future()

    def do() -> None:
        try:
            found.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the future gives it to the block
            found.set_exception(error)

    # `threading` waits until a thread has begun: a millisecond each time while an emulator is busy.
    _thread.start_new_thread(do, ())
    try:
        yield found
    finally:
        wait([found])
