"""Several boards behind one name: workers each hold one, a lost board's test moves to another, once.

Registered by `tfm_harness.plugin.session.activate`, before pytest's own way to run a test is asked.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest.runner import runtestprotocol

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.pool import Pool
from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.report.record import BoardEntry, BoardRun, MoveEntry

if TYPE_CHECKING:
    from tfm_harness.plugin.bench import Bench
    from tfm_harness.plugin.keys import SessionPlugin
    from tfm_harness.plugin.record import RunLog

__all__ = ["CONTROLLER", "RUN_DIR", "PoolPlugin", "check_workers", "note_quarantine"]

RUN_DIR: Final = "tfm_harness_run_dir"
"""Key of pytest-xdist's ``workerinput``: the run's folder."""

CONTROLLER: Final = "tfm_harness_controller"
"""Key of pytest-xdist's ``workerinput``: the process that started the test process."""

_MOVED = "moved"
_WAIT_FOR_OTHERS = 3600.0


def note_quarantine(log: RunLog, context: RunContext) -> None:
    """Boards of the run's quarantine that no test process has told of: they could not even be taken."""
    folder = _run_folder(context) / "quarantine"
    for name, why in Pool((), context, folder).lost().items():
        if any(board == name for _, board in log.boards):
            continue
        for combination in log.combinations:
            if name in {member.name for member in combination.members}:
                log.keep_board(BoardRun(board=BoardEntry(combination=combination.name, name=name, lost=why)))


def check_workers(config: pytest.Config, combinations: tuple[TargetBuild, ...]) -> None:
    """More test processes than boards is a mistake: the surplus could only wait.

    Raises:
        ConfigError: kind ``pool-small``.
    """
    workers = len(getattr(config.option, "tx", None) or [])
    least = min(combinations, key=lambda combination: len(combination.members))
    if workers > max(len(least.members), 1):
        raise ConfigError(
            f"{workers} test processes, but {len(least.members)} "
            f"board{'s' if len(least.members) > 1 else ''} for {least.name}",
            kind="pool-small",
            expected="a board for each process",
            seen=f"-n {workers}",
            hint="`count` in a virtual board's target, several targets with --tfm-pool, or a smaller -n",
        )


class _Anchor(pytest.Item):
    """Never run: keeps alive what the test before it shares with its neighbours."""

    def runtest(self) -> None:
        """Never called."""
        raise AssertionError("not a test")


class PoolPlugin:
    """Hooks of runs whose combinations have several boards."""

    def __init__(self, plugin: SessionPlugin) -> None:
        self._plugin = plugin

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> object:
        """Idle workers take over the tests of one that waits for a board."""
        if config.getoption("dist", "no") != "load":
            return None  # somebody chose
        from xdist.scheduler.worksteal import WorkStealingScheduling  # type: ignore[import-untyped]  # published so

        return WorkStealingScheduling(config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[Any]) -> None:
        """Test processes end with this one from their first moment on, not only when they have loaded the plugin."""
        setpriv = shutil.which("setpriv")
        for spec in specs:
            if setpriv is not None and spec.popen and not spec.python and not spec.via:
                spec.python = f"{shlex.quote(setpriv)} --pdeathsig KILL {shlex.quote(sys.executable)}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - pytest-xdist's WorkerController
        """All test processes of a run keep their things in one folder."""
        if self._plugin.context is not None:
            node.workerinput[RUN_DIR] = str(self._plugin.context.run_dir)
        node.workerinput[CONTROLLER] = os.getpid()

    @pytest.hookimpl
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run the test; when its board was lost on the way, run it once more on another."""
        combination = self._pair(item)
        if combination is None or len(combination.members) < 2 or not isinstance(item, pytest.Function):
            return None
        hooks = item.ihook
        hooks.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        # Somebody must come after the last test, or its bench would be closed before it can move.
        after = nextitem or _Anchor.from_parent(_parent(item), name=f"{item.name}::after")
        reports = runtestprotocol(item, nextitem=after, log=False)
        failed = next((report for report in reports if report.failed), None)
        move = failed is not None and self._move(item, failed)
        if move and failed is not None:
            failed.outcome = _MOVED  # type: ignore[assignment]  # an outcome of ours, shown by pytest_report_teststatus
            hooks.pytest_runtest_logreport(report=failed)
            _forget(item)
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
        elif nextitem is None:
            reports[-1] = self._last_teardown(item) or reports[-1]
        for report in reports:
            hooks.pytest_runtest_logreport(report=report)
        hooks.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @staticmethod
    def _last_teardown(item: pytest.Item) -> pytest.TestReport | None:
        """What the first try left for the session's end; its report when that fails."""
        state = item.session._setupstate  # noqa: SLF001 - pytest has no other way to tear down in two steps
        call = pytest.CallInfo.from_call(lambda: state.teardown_exact(None), when="teardown")
        report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
        return report if report.failed else None

    def _move(self, item: pytest.Item, failed: pytest.TestReport) -> bool:
        """Whether the test's board is lost and another one was taken."""
        phase = getattr(failed, "tfm_phase", None)
        bench = self._bench(item)
        if bench is None or phase is None or phase.responsibility != "infrastructure":
            return False
        try:
            bench.ensure_ready()
        except HarnessError as error:
            lost = bench.lost or error
        else:
            return False  # it was brought back: the test's error stands
        before = bench.board.name
        log = self._plugin.log
        # The bench forgets this board when it takes another one.
        log.keep_board(replace_lost(bench.board_run(), lost))
        try:
            bench.move(lost, wait=_WAIT_FOR_OTHERS if hasattr(item.config, "workerinput") else 0.0)
        except HarnessError as error:
            failed.sections.append(("pool", f"{before} was lost; no other board took over: {error}"))
            return False
        log.moves.append(
            MoveEntry(
                nodeid=item.nodeid,
                combination=bench.combination.name,
                before=before,
                after=bench.board.name,
                why=f"{lost.kind}: {lost.message}",
            )
        )
        failed.sections.append(("pool", f"{before} was lost ({lost.kind}); moved to {bench.board.name}"))
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
        """A test that moved is shown, and judged by its second try."""
        if str(report.outcome) == _MOVED:
            return _MOVED, "M", ("MOVED", {"yellow": True})
        return None

    # -- inside

    def _bench(self, item: pytest.Item) -> Bench | None:
        combination = self._pair(item)
        return self._plugin.bench_for(combination) if combination is not None else None

    @staticmethod
    def _pair(item: pytest.Item) -> TargetBuild | None:
        callspec = getattr(item, "callspec", None)
        combination = callspec.params.get("tfm_combination") if callspec else None
        return combination if isinstance(combination, TargetBuild) else None


def replace_lost(run: BoardRun, lost: HarnessError) -> BoardRun:
    """A board's share of the record, with why it was lost."""
    return replace(run, board=replace(run.board, lost=f"{lost.kind}: {lost.message}"))


def _parent(item: pytest.Item) -> pytest.Collector:
    assert isinstance(item.parent, pytest.Collector)  # noqa: S101 - test functions live in modules and classes
    return item.parent


def _run_folder(context: RunContext) -> Path:
    return context.shared_dir or context.run_dir


def _forget(item: pytest.Function) -> None:
    """Nothing of the first try may count for the second."""
    item.user_properties.clear()
    item._initrequest()  # noqa: SLF001 - what pytest itself does to a function that is run again
