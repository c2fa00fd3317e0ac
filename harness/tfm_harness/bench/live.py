"""A combination that tests use: it stays alive between them, and moves to another board if one is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.context import BOARD_KEYS
from tfm_harness.bench.metrics import Metrics, Unkept
from tfm_harness.bench.opened import ANSWER_TIMEOUT, pool_for
from tfm_harness.bench.reference import Reference
from tfm_harness.bench.restarts import RestartableCombination
from tfm_harness.bench.state import DeviceState
from tfm_harness.bench.verifier import Verifier
from tfm_harness.boards.base import Board, BoardEvent, ClockQuality, RunContext
from tfm_harness.boards.recovery import recover
from tfm_harness.errors import HarnessError, InfrastructureError
from tfm_harness.findings import Report
from tfm_harness.trust.kept import KeptEvidence

__all__ = ["ANSWER_TIMEOUT", "Listener", "LiveCombination", "open_bench", "pool_for"]


class Listener:
    """Gets notified of a board's events; these methods do nothing."""

    def ready(self, bench: LiveCombination) -> None:
        """The board is flashed, has booted, and runs the build: proved."""

    def lost(self, bench: LiveCombination, error: HarnessError) -> None:
        """The board does not answer any more and could not be brought back."""

    def progress(self, bench: LiveCombination, what: str, done: int, total: int) -> None:
        """Long work has advanced."""


@contextlib.contextmanager
def open_bench(
    combination: TargetBuild,
    context: RunContext,
    *,
    answer_timeout: float = ANSWER_TIMEOUT,
    boot_timeout: float | None = None,
) -> Iterator[LiveCombination]:
    """Open a combination for the block: flash, boot and prove it; it is released after the block.

    Raises:
        InfrastructureError, ProductError: as boards and clients; ``wrong-firmware`` when another image answers.
    """
    bench = LiveCombination(combination, context, answer_timeout=answer_timeout, boot_timeout=boot_timeout)
    try:
        bench.open()
        yield bench
    finally:
        bench.close()


class LiveCombination(RestartableCombination):
    """A running combination: board, client, stimulus, and the judges of their results.

    Args:
        combination: what to open.
        context: the run's folders.
        answer_timeout: seconds that the firmware may take for an answer that needs no long work.
        boot_timeout: seconds from a reset to the first answer (default: the build's, else the target's).
        listener: gets notified of events.
        measured: keeps the figures that tests measure; by default they are not kept.
    """

    def __init__(
        self,
        combination: TargetBuild,
        context: RunContext,
        *,
        answer_timeout: float = ANSWER_TIMEOUT,
        boot_timeout: float | None = None,
        listener: Listener | None = None,
        measured: Metrics | None = None,
    ) -> None:
        super().__init__(combination, context, answer_timeout=answer_timeout, boot_timeout=boot_timeout)
        self.measured: Metrics = measured or Unkept()
        self._listener = listener or Listener()
        self._suspect = False
        self.lost: HarnessError | None = None
        self.recoveries: list[BoardEvent] = []

    def _open_on(self, board: Board) -> None:
        super()._open_on(board)
        self._listener.ready(self)

    # -- between tests

    def begin_test(self) -> None:
        """Begin a test: earlier resets and panics belong to the previous test."""
        self.reset_monitor.begin()

    def ensure_ready(self) -> None:
        """Recover the board before a test if the previous one may have broken it; else the board is lost.

        Raises:
            InfrastructureError: ``board-lost``, naming the first cause; from then on at once.
        """
        if self.lost is not None:
            raise InfrastructureError(
                f"{self.combination.name} was lost in an earlier test and could not be brought back",
                kind="board-lost",
                seen=f"{self.lost.kind}: {self.lost.message}",
                hint="see the first test that failed",
            )
        if self._suspect:
            self._suspect = False
            self._recover()
        if self._active is not None and self._firmware is not None and self._firmware.answered:
            self.select_again(self._active)

    def _recover(self) -> None:
        try:
            self.board.check_alive()
            self.firmware.restart_link()
            self.firmware.answer_within(min(5.0, self.boot_timeout))
        except HarnessError as first:
            try:
                with self.reset_monitor.expected_reset():
                    recover(self.board, self._answers_again, note=self.recoveries.append)
                self._restate()
            except HarnessError as error:
                self.lost = first
                self._listener.lost(self, first)
                error.add_note(f"before that: {first}")
                raise

    def _answers_again(self) -> None:
        self._started()
        self.firmware.wait_ready()

    def move(self, why: HarnessError, *, wait: float) -> None:
        """Leave a lost board for another one of the pool.

        Raises:
            InfrastructureError, ProductError: as `open`; then the bench stays lost.
        """
        self._pool.quarantine(self.board.name, why)
        self.board.release()
        board = self._pool.take(wait=wait)
        self.boots = 0
        self.lost, self._suspect = None, False
        try:
            self._open_on(board)
        except HarnessError as error:
            self.lost = error
            raise

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A function to be called with the number of done pieces, and of all, to show the progress of long work."""

        def show(done: int, total: int) -> None:
            self._listener.progress(self, what, done, total)

        return show

    # -- judging

    def state(self) -> DeviceState:
        """The facts that are known about the device now."""
        return DeviceState(
            board=self.board.name,
            trust=self.trust,
            description=self.description,
            boot=self.boots,
            boot_seed=self.boot_seed,
            asked_results=self.asked_results,
            history=f"{self.board.erasures}.{self.memory_history}",
            counts_instructions=self.board.clock_quality is ClockQuality.DETERMINISTIC,
        )

    def verifier(self, report: Report, *, test: str = "") -> Verifier:
        """A verifier of this device's evidence; all findings go to `report`.

        Args:
            report: gets the findings.
            test: the test's id; verified evidence is kept in the run's folder. Empty: nothing is kept.
        """
        run_dir, clock = self.context.run_dir, self.combination.target.clock
        return Verifier(
            self.state,
            report,
            ledger=lambda: self.instruments.ledger,
            nonces=lambda: self.instruments.nonces,
            board_keys=(self.context.shared_dir or run_dir) / BOARD_KEYS,
            tick_hz=clock.hz if clock else None,
            kept=KeptEvidence(run_dir, test=test, combination=self.combination, board=self.board) if test else None,
        )

    def reference(self, report: Report) -> Reference:
        """The reference for this device's numbers; all findings go to `report`."""
        return Reference(
            self.state,
            report,
            instruments=self.instruments,
            runner=self,
            target=self.combination.target,
            run_dir=self.context.run_dir,
            measured=self.measured,
        )
