"""Progress of long work, beside pytest's own output and past its capturing."""

from __future__ import annotations

import contextlib
import sys
import time
from contextlib import AbstractContextManager

import pytest

__all__ = ["ProgressLine"]

_FIRST = 1.0  # seconds of work before anything is shown
_TERMINAL = 0.2  # seconds between updates of a line on a terminal
_FILE = 10.0  # seconds between lines in a log


class ProgressLine:
    """One line that is written over on a terminal; a line now and then where nothing can be written over."""

    def __init__(self, config: pytest.Config) -> None:
        # A process of pytest-xdist has a reporter whose words nobody sees.
        self._reporter: pytest.TerminalReporter | None = (
            None if hasattr(config, "workerinput") else config.pluginmanager.get_plugin("terminalreporter")
        )
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._what = ""
        self._shown: float | None = None
        self._began = 0.0

    def update(self, what: str, done: int, total: int) -> None:
        """`done` of `total` pieces of `what`; the first call of a piece of work starts its clock."""
        now = time.monotonic()
        if what != self._what or not done:
            self._what, self._began, self._shown = what, now, None
        terminal = self._reporter is not None and bool(getattr(self._reporter, "isatty", False))
        due = self._began + _FIRST if self._shown is None else self._shown + (_TERMINAL if terminal else _FILE)
        if self._reporter is None or (now < due and not (done >= total and self._shown is not None)):
            return
        first, self._shown = self._shown is None, now
        self._write(f"  {what}: {done} of {total}", over=terminal and not first, more=terminal and done < total)

    def say(self, text: str) -> None:
        """A line of its own, at once; on stderr where nothing else is shown (pytest-xdist's processes)."""
        if self._reporter is not None:
            self._write(f"  {text}", over=False, more=False)
            return
        with self._shown_to_the_user():
            print(f"  {text}", file=sys.stderr, flush=True)  # noqa: T201 - the one way out of such a process

    def _write(self, text: str, *, over: bool, more: bool) -> None:
        with self._shown_to_the_user():
            self._put(text, over=over, more=more)

    def _shown_to_the_user(self) -> AbstractContextManager[None]:
        """Pytest captures nothing for the block."""
        if self._capture is None:
            return contextlib.nullcontext()
        shown: AbstractContextManager[None] = self._capture.global_and_fixture_disabled()
        return shown

    def _put(self, text: str, *, over: bool, more: bool) -> None:
        assert self._reporter is not None  # noqa: S101 - the caller looked
        if over:
            self._reporter.rewrite(text, erase=True)
        else:
            self._reporter.ensure_newline()
            self._reporter.write(f"\n{text}" if self._reporter.verbosity < 0 else text)
        # What pytest writes next begins on a new line.
        self._reporter.currentfspath = None if not more else -2
        if not more:
            self._reporter.write("\n")
        self._reporter.flush()
