"""A live combination as pytest uses it: findings of tests, outcomes, sections of reports."""

from __future__ import annotations

from collections.abc import Mapping

import pluggy
import pytest

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.firmware import open_consoles
from tfm_harness.bench.live import Listener, LiveCombination
from tfm_harness.boards.base import RunContext
from tfm_harness.errors import HarnessError, ProductError, Responsibility
from tfm_harness.findings import Report
from tfm_harness.plugin import bench_record, failure_text
from tfm_harness.plugin.measured import RunMetrics
from tfm_harness.plugin.options import Setting
from tfm_harness.plugin.outcomes import Outcome
from tfm_harness.protocol.base import PseudoDriver
from tfm_harness.report.record import BoardRun

__all__ = ["REPORT", "Bench"]

REPORT = pytest.StashKey[Report]()
"""A test's findings."""


class _Hooks(Listener):
    """Calls pytest's hooks."""

    def __init__(self, hooks: pluggy.HookRelay) -> None:
        self._hooks = hooks

    def ready(self, bench: LiveCombination) -> None:
        """See `Listener`."""
        self._hooks.pytest_harness_board_ready(bench=bench)

    def lost(self, bench: LiveCombination, error: HarnessError) -> None:
        """See `Listener`."""
        self._hooks.pytest_harness_board_lost(bench=bench, error=error)

    def progress(self, bench: LiveCombination, what: str, done: int, total: int) -> None:
        """See `Listener`."""
        self._hooks.pytest_harness_progress(bench=bench, what=what, done=done, total=total)


class Bench(LiveCombination):
    """Opened once for each combination of a session."""

    def __init__(
        self, combination: TargetBuild, context: RunContext, options: Mapping[str, Setting], hooks: pluggy.HookRelay
    ) -> None:
        given = options["boot-timeout"]
        super().__init__(
            combination,
            context,
            answer_timeout=options["answer-timeout"].seconds,
            boot_timeout=given.seconds if given.text else None,
            listener=_Hooks(hooks),
            measured=RunMetrics(),
        )
        self.measured: RunMetrics

    def move(self, why: HarnessError, *, wait: float) -> None:
        """Leave a lost board for another one of the pool; figures and events begin anew with it.

        Raises:
            InfrastructureError, ProductError: as `open`; then the bench stays lost.
        """
        before = self.board
        kept = self.measured, self.recoveries, self._booting
        self.measured, self.recoveries, self._booting = RunMetrics(), [], 0.0
        try:
            super().move(why, wait=wait)
        finally:
            if self.board is before:
                self.measured, self.recoveries, self._booting = kept

    @property
    def _client(self) -> PseudoDriver | None:
        return self._firmware.client if self._firmware is not None else None

    def report_for(self, item: pytest.Item) -> Report:
        """The test's findings under this combination's policy and waivers."""
        if REPORT not in item.stash:
            item.stash[REPORT] = Report(policy=self.combination.policy, waivers=self.combination.build.granted())
        return item.stash[REPORT]

    def end_test(self, report: Report, error: BaseException | None) -> BaseException | None:
        """Latent faults: unexpected resets, panics, unsolicited answers.

        Returns:
            An error to raise when the test itself raised none.
        """
        self.reset_monitor.judge(report)
        settle = getattr(getattr(self._client, "link", None), "settle", None)
        if settle is not None and error is None:
            try:
                settle()
            except HarnessError as late:
                return late
        return None

    def reconsider(self, outcome: Outcome, error: BaseException) -> Outcome:
        """A failure while the board itself had died is the fault of what killed it."""
        if outcome.responsibility is Responsibility.PRODUCT and outcome.error is None:
            return outcome
        if outcome.responsibility is Responsibility.INFRASTRUCTURE or isinstance(outcome.error, ProductError):
            try:
                self.board.check_alive()
            except HarnessError as cause:
                if outcome.error is not None and cause.kind != outcome.kind:
                    error.add_note(f"the board: {cause}")
                return Outcome(responsibility=cause.responsibility, kind=cause.kind, error=outcome.error or cause)
        return outcome

    def failed(self, outcome: Outcome) -> None:
        """After a failure the next test starts by asking whether the board still answers."""
        self._suspect = self._suspect or outcome.error is not None

    def failure_sections(self) -> list[tuple[str, str]]:
        """Consoles' last lines and the last exchanges, for a failed test."""
        sections = [failure_text.console_section(console) for console in open_consoles(self.board).values()]
        exchange = failure_text.exchange_section(self._client.exchanges) if self._client else None
        return [*([exchange] if exchange else []), *sections]

    def device_log(self) -> list[tuple[str, str]]:
        """Lines of the log and of the secure side since the last test, each with its class."""
        return failure_text.device_log(self._client)

    def board_run(self) -> BoardRun:
        """This board's share of the run's record, as it is now."""
        return bench_record.board_run(
            self.combination.name,
            self.board,
            self._client,
            self.description if self._firmware is not None and self._firmware.answered else None,
            self.measured,
            lost=self.lost,
            recoveries=self.recoveries,
            boots=self.boots + 1,
            device_seconds=self.device_seconds,
            consoles=open_consoles(self.board),
        )
