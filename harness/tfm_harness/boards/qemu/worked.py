"""How long an emulator worked on tasks of the harness other than requests and starts."""

from __future__ import annotations

import threading
import time
from types import TracebackType

__all__ = ["Worked"]


class Worked:
    """A stopwatch for blocks in which this process waits for the emulator.

    Nested blocks count once. Only blocks of the thread that made the stopwatch count: other threads follow the CPU
    while that thread waits for an answer, and the time of requests is counted elsewhere.

    Attributes:
        seconds: of all blocks that have ended.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._thread = threading.get_ident()
        self._depth = 0
        self._began = 0.0

    def __enter__(self) -> None:
        if threading.get_ident() == self._thread:
            if self._depth == 0:
                self._began = time.perf_counter()
            self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.get_ident() == self._thread:
            self._depth -= 1
            if self._depth == 0:
                self.seconds += time.perf_counter() - self._began
