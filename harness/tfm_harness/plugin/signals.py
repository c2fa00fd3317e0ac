"""SIGTERM and SIGHUP end a run as Ctrl-C does; a second signal does not cut the end short.

Farms send SIGTERM, a closed terminal sends SIGHUP. Python would die of them without giving boards back. And where a
second Ctrl-C comes while pytest ends, pytest loses the record of the first: the run looked as if it had passed.

A signal that comes when all tests are judged changes nothing any more. Pytest catches no KeyboardInterrupt there: the
run's record would be lost, or the process would end with another exit code than the run's.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

__all__ = ["Signals"]

_ENDING: Final = 20.0
"""Seconds in which boards are given back; a signal after that ends the process at once."""
_GONE: Final = 5.0
"""Seconds after the session in which its process ends, with the exit code of the run."""


class Signals:
    """Handlers of a session, installed and removed again.

    Args:
        note: called once with the name of the signal that ends the run.
        say: called with what to tell the user.
        clock: seconds that only go forward.
    """

    SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")

    def __init__(
        self, note: Callable[[str], None], say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._note = note
        self._say = say
        self._clock = clock
        self._first: float | None = None
        self._removed: float | None = None
        self._before: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Take the signals that have no other handler; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name in self.SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
                self._before[number] = signal.signal(number, self._handle)

    def ending(self) -> None:
        """All tests are judged: what still is to be written is not interrupted."""
        if self._first is None:
            self._first = self._clock()

    def remove(self) -> None:
        """The session is over: the signals are given back, after its end at the next signal. Safe to call twice."""
        if threading.current_thread() is not threading.main_thread():
            return
        now = self._clock()
        if self._first is None or now - self._first > _ENDING:
            self._give_back()
        elif self._removed is None:
            self._removed = now

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        name = signal.Signals(number).name
        now = self._clock()
        if self._removed is not None:
            if now - self._removed > _GONE:  # the process has not ended: somebody runs pytest inside of a program
                self._give_back()
                os.kill(os.getpid(), number)
            return
        if self._first is None:
            self._first = now
            self._note(name)
            raise KeyboardInterrupt(name)
        if now - self._first > _ENDING:
            raise KeyboardInterrupt(name)
        self._say(f"\n{name}: the run is ending already, boards are being given back")
