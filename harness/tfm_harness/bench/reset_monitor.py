"""Unexpected resets and panics."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

from tfm_harness.boards.base import Board
from tfm_harness.console.base import Mark
from tfm_harness.errors import ProductError
from tfm_harness.findings import Check, Report
from tfm_harness.protocol.smp.text import log_tail

__all__ = ["UNEXPECTED_RESET", "ResetMonitor"]

UNEXPECTED_RESET = Check(
    id="board.unexpected-reset",
    title="the board does not reset unless it is asked to",
    requirement="PSA Security Model 1.1 s.4 (a fault of the secure side shows as a reset)",
)
SECURE_PANIC = Check(
    id="board.secure-panic",
    title="no secure side panics",
    requirement="PSA Firmware Framework 1.0 s.3.5.4",
)
TRANSCRIPT_LIMIT = Check(
    id="board.transcript-limit",
    title="no console prints more than the target's limit of a transcript",
    requirement="tfm-harness docs/writing-a-target.md, limits",
)
_PANIC = re.compile(rb"^.{0,40}(?:PANIC|Panic|psa_panic|FATAL ERROR).*$", re.MULTILINE)
_PANIC_WINDOW = 1 << 18  # bytes of each console that are searched for one test


class ResetMonitor:
    """Distinguishes expected resets from unexpected ones, and finds panics."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._excused = self._resets()
        self._asked = 0
        self._expecting = False
        self._emulators = False
        self._marks: dict[str, Mark] = {}
        self._told: set[str] = set()

    @contextlib.contextmanager
    def expected_reset(self) -> Iterator[None]:
        """Resets in this block are expected."""
        before, self._expecting = self._expecting, True
        try:
            yield
        finally:
            self._expecting = before
            self._excused = self._resets()

    def blame_emulator(self) -> None:
        """Blame the emulator for the resets of this test: they give no finding about the product."""
        self._emulators = True

    def await_reset(self, timeout: float) -> bool:
        """Wait until the board reports a reset since the block of `expected_reset` began.

        Returns:
            Whether it did; False for boards that cannot report resets (real ones), for which there is no wait.

        Raises:
            ProductError: the board can report resets, and did not reset.
        """
        if not self._tells_resets():
            return False
        deadline = time.monotonic() + timeout
        console = next(iter(self._board.consoles.values()))
        while self._resets() == self._excused:
            if time.monotonic() > deadline:
                raise ProductError(
                    "the firmware agreed to reset and did not",
                    kind="no-reset",
                    expected=f"a reset within {timeout:g} s",
                )
            console.wait_data(console.mark(), timeout=0.005)
        return True

    def raise_if_down(self) -> None:
        """Raise an error, for clients that wait, if the emulator is gone or the board has reset.

        Raises:
            InfrastructureError: the transport or emulator is dead.
            ProductError: ``unexpected-reset``.
        """
        self._board.check_alive()
        if not self._expecting and self._resets() > self._excused:
            raise ProductError(
                "the board reset while an answer was awaited",
                kind="unexpected-reset",
                expected="an answer",
                seen=self._last_reset(),
                where="\n".join(f"console {c.name!r}:\n{log_tail(c, 6)}" for c in self._board.consoles.values()),
            )

    def begin(self) -> None:
        """Begin a test."""
        self._emulators = False
        self._marks = {name: console.mark() for name, console in self._board.consoles.items()}

    def judge(self, report: Report) -> None:
        """Add findings about the time since `begin`; only failures are added."""
        resets = self._resets()
        if resets > self._excused and not self._emulators:
            report.add(
                UNEXPECTED_RESET, passed=False, expected="no reset", seen=self._last_reset(), where=self._offsets()
            )
            self._excused = resets
        for name, console in self._board.consoles.items():
            if console.flood is not None and name not in self._told:
                self._told.add(name)
                report.add(
                    TRANSCRIPT_LIMIT,
                    passed=False,
                    expected=f"at most {self._board.target.limits.transcript} bytes in a run",
                    seen=f"{console.received} bytes; the rest was not read",
                    where=f"console {name!r}, {console.transcript}",
                )
            mark = self._marks.get(name, console.mark())
            found = _PANIC.search(console.read_from(mark, limit=_PANIC_WINDOW))
            if found:
                report.add(
                    SECURE_PANIC,
                    passed=False,
                    expected="no panic",
                    seen=found[0].decode("ascii", "backslashreplace").strip(),
                    where=f"console {name!r}, byte {mark.offset + found.start()} of {console.transcript}",
                )

    def _resets(self) -> int:
        return len(self._board.guest_resets)

    def _tells_resets(self) -> bool:
        return self._board.kind == "qemu"

    def _last_reset(self) -> str:
        events = self._board.guest_resets
        return f"{events[-1].detail}, {events[-1].at:.3f} s into the run" if events else "a reset"

    def _offsets(self) -> str:
        events = self._board.guest_resets
        offsets = events[-1].console_offsets if events else {}
        return ", ".join(f"console {name!r} at byte {offset}" for name, offset in offsets.items())
