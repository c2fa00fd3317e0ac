"""The plugin of a session that has boards: opens them, judges tests, keeps the record, sets the exit code.

`collecting` chooses the tests, `failures` tells whose responsibility a failed one is.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tfm_harness.bench.combination import TargetBuild
from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.boards.base import RunContext
from tfm_harness.boards.locks import told_by
from tfm_harness.errors import HarnessBug, HarnessError
from tfm_harness.parity.installed import installed_engine
from tfm_harness.plugin import console_items, failure_text, junit, pool, share
from tfm_harness.plugin.bench import REPORT, Bench
from tfm_harness.plugin.collecting import CollectingPlugin
from tfm_harness.plugin.combinations import load_combinations, run_context
from tfm_harness.plugin.decision import decide
from tfm_harness.plugin.failures import Failures
from tfm_harness.plugin.fixtures import skip_uncovered
from tfm_harness.plugin.items import (
    bench_of,
    clean_slate,
    combination_name,
    suite_of,
)
from tfm_harness.plugin.neighbours import keep_apart
from tfm_harness.plugin.net import EXIT_BUG, around_test, bug_of, exit_of
from tfm_harness.plugin.options import Setting, settings
from tfm_harness.plugin.progress import ProgressLine
from tfm_harness.plugin.record import EXIT_BENCH, RunLog, judged_findings
from tfm_harness.plugin.runfile import make_record, write_run
from tfm_harness.plugin.signals import Signals
from tfm_harness.plugin.signed import RunSigner
from tfm_harness.plugin.stored import RunKeeper
from tfm_harness.plugin.summary import summary
from tfm_harness.plugin.verdict import EXIT_CODES
from tfm_harness.processes import end_with_parent
from tfm_harness.report.harmless import Harmless, harmless
from tfm_harness.report.record import PhaseEntry, RunRecord

__all__ = ["HarnessPlugin", "activate"]

_JUDGES = frozenset({"checks", "verifier", "reference", "latency"})
"""A test that uses one of these fixtures and makes no check has no verdict."""


def activate(config: pytest.Config) -> HarnessPlugin:
    """Validate everything that was asked for and register the session's plugin. Touches no board.

    Raises:
        ConfigError: an option, a target or a build is wrong; the text says where it came from.
    """
    options = settings(config)
    combinations = load_combinations(
        options["target"], options["build"], options["policy"],
        pool=options["pool"].on, boards=options["board"], count=options["count"],
    )  # fmt: skip
    pool.check_workers(config, combinations)
    plugin = HarnessPlugin(config, options, combinations)
    config.pluginmanager.register(plugin, "tfm_harness_session")
    config.pluginmanager.register(CollectingPlugin(config, options, combinations, plugin.log), "tfm_harness_collecting")
    config.pluginmanager.register(pool.PoolPlugin(plugin), "tfm_harness_pool")
    config.pluginmanager.register(console_items, "tfm_harness_console_items")
    keep_apart(config)
    return plugin


class HarnessPlugin:
    """Hooks of a session with boards. State that others need is in the `Bench` of each combination."""

    def __init__(
        self, config: pytest.Config, options: Mapping[str, Setting], combinations: tuple[TargetBuild, ...]
    ) -> None:
        self.config = config
        self.options = options
        self.combinations = combinations
        self.log = RunLog(combinations)
        self.worker = hasattr(config, "workerinput")  # a pytest-xdist worker: the controller prints and records
        self.context = None if config.option.collectonly else _context(config, options)
        self.record: Harmless[RunRecord] | None = None
        self.page: Path | None = None
        self._signer = RunSigner("" if self.worker or self.context is None else options["evidence"].text)
        self._keeper = RunKeeper("" if self.worker or self.context is None else self.context.store)
        self.trouble = ""
        self._bugs: list[str] = []  # of the harness, met in hooks: they end the session with 3
        self._session: pytest.Session | None = None
        self._signals = Signals(self._interrupted, self._say)
        self._failures = Failures()
        self._open: dict[str, Bench] = {}
        self._progress: ProgressLine | None = None

    # -- boards

    def open_bench(self, combination: TargetBuild) -> Iterator[Bench]:
        """The body of the `bench` fixture: opens, yields, and closes also after an error."""
        if self.context is None:
            raise RuntimeError("a bench was asked for while collecting")
        bench = Bench(combination, self.context, self.options, self.config.hook)
        self._open[combination.name] = bench
        try:
            try:
                with told_by(self._tell_waiting):
                    bench.open()
            except HarnessError:
                self._failures.never_opened(bench)
                raise
            self.log.keep_board(bench.board_run())
            yield bench
        finally:
            try:
                self.log.keep_board(bench.board_run())
            finally:
                bench.close()
                del self._open[combination.name]

    def bench_for(self, combination: TargetBuild) -> Bench | None:
        """The open bench of a combination."""
        return self._open.get(combination.name)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Signals that end a run give the boards back."""
        self._session = session
        self._signals.install()

    def pytest_unconfigure(self) -> None:
        """Close what a second Ctrl-C left open."""
        try:
            self._leave()
        except Exception as error:  # noqa: BLE001 - Python would end with 1, which is a verdict
            self._at_the_end(error, "pytest_unconfigure")

    def _leave(self) -> None:
        for bench in list(self._open.values()):
            bench.close()
        self._signals.remove()

    def _at_the_end(self, error: Exception, hook: str) -> None:
        """What fails when the session ends is told, and is the exit code's business; nothing comes after it."""
        told = error if isinstance(error, HarnessError) else bug_of(error, hook)
        sys.stderr.write(f"{told}\n")
        if self._session is not None:
            self._session.exitstatus = EXIT_BENCH if told.kind == "package-missing" else EXIT_BUG

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Pytest gives up, or a test process of pytest-xdist did: no verdict, and no mere interruption."""
        self._bugs.append(excinfo.exconly())

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: object) -> None:
        """A bug of ours while collecting looks like a mistake in the user's tests."""
        error = call.excinfo.value if call.excinfo else None
        if isinstance(report, pytest.CollectReport) and isinstance(error, HarnessBug):
            self._bugs.append(str(error))

    def pytest_keyboard_interrupt(self) -> None:
        """The run ends before its end, also where the interrupt was no signal."""
        self.log.interrupted = self.log.interrupted or "interrupt"

    def _interrupted(self, signal_name: str) -> None:
        self.log.interrupted = signal_name

    def _say(self, text: str) -> None:
        reporter: pytest.TerminalReporter | None = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(text, yellow=True)

    def pytest_report_header(self) -> list[str]:
        """Targets, firmware, engines, policy."""
        return failure_text.header(self.combinations, self.context)

    # -- running

    @pytest.hookimpl(wrapper=True)
    @around_test
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """After the fixtures are there: is what the test needs there too?"""
        clean_slate(item)
        try:
            result = yield
        except NotCovered as missing:
            pytest.skip(str(missing))
        except (KeyboardInterrupt, pytest.exit.Exception, pytest.skip.Exception):
            raise
        except BaseException:
            # A suite's own fixtures may count on what its tests need: without it their failing says nothing.
            bench = bench_of(item)
            if bench is not None and bench.lost is None:
                skip_uncovered(item, bench)
            raise
        bench = bench_of(item)
        if bench is not None:
            skip_uncovered(item, bench)
            bench.begin_test()
        return result

    @pytest.hookimpl(wrapper=True)
    @around_test
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """The test, then what its board did meanwhile, then the verdict of the checks."""
        bench = bench_of(item)
        if bench is None or not isinstance(item, pytest.Function):
            try:
                return (yield)
            except NotCovered as missing:
                pytest.skip(str(missing))
        report = bench.report_for(item)
        error: BaseException | None = None
        result: object = None
        try:
            result = yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as raised:  # noqa: BLE001 - decided below
            error = raised
        latent = bench.end_test(report, error)
        outcome = decide(report, latent if error is None else error, judges=not _JUDGES.isdisjoint(item.funcargs))
        if outcome is None:
            return result
        if isinstance(outcome, NotCovered):
            if outcome.what:
                item.user_properties.append(("harness.not-covered", outcome.what))
            pytest.skip(str(outcome))
        raise outcome

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say in the report whose responsibility it is, with the consoles' last lines."""
        report = yield
        bench = bench_of(item)
        phase = PhaseEntry(
            combination=bench.combination.name if bench else combination_name(item),
            board=bench.board.name if bench else "",
            suite=suite_of(item),
        )
        shown: list[tuple[str, str]] = []
        findings = item.stash.get(REPORT, None)
        if call.when == "call" and findings is not None:
            entries, checks = judged_findings(findings)
            phase = replace(phase, findings=entries, checks=checks)
            item.user_properties += junit.findings(entries)
        if call.excinfo is not None and report.failed:
            phase, shown = self._failures.told(item, call.excinfo, report, phase)
        if bench is not None and call.when == "call":
            shown += bench.device_log()
        report.sections += failure_text.fitted(report.longreprtext, shown) if report.failed else shown
        if phase.combination:
            failure_text.make_harmless(report)
        if call.when == "teardown" and bench is not None and bench.pooled:
            # In a pool a passed test's board is of interest, too; a failed one has said it.
            named = ("harness.board", bench.board.name)
            item.user_properties += [] if named in item.user_properties else [named]
        report.user_properties = list(item.user_properties)
        report.tfm_phase = phase  # type: ignore[attr-defined] # pytest reports take additional attributes
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, dict[str, object] | None, dict[str, object] | None]:
        """On the way from a test process of pytest-xdist."""
        data = yield
        if data is not None:
            share.travelling(data)
        return data

    @pytest.hookimpl(wrapper=True)
    def pytest_report_from_serializable(
        self,
    ) -> Generator[
        None, pytest.CollectReport | pytest.TestReport | None, pytest.CollectReport | pytest.TestReport | None
    ]:
        """Arrived at the controller."""
        report = yield
        share.arrived(report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
        """What is not the product's is an error, not a failed test; what had no board is blocked."""
        phase = share.phase_of(report)
        if phase.blocked_by:
            return "blocked", "B", ("BLOCKED", {"yellow": True})
        if report.when != "call" or not report.failed or phase.responsibility in {"", "product"}:
            return None
        return "error", "E", (f"ERROR ({phase.responsibility})", {"yellow": True})

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Keep the record; JUnit's failure becomes an error where the product is not responsible."""
        junit.name_of_case(self.config, report)
        result = yield
        phase = share.phase_of(report)
        if report.when == "call" and report.failed and phase.responsibility not in {"", "product"}:
            junit.failure_to_error(self.config, report)
        if str(report.outcome) in {"rerun", "moved"} and not self.worker:
            junit.earlier_try(self.config, report, phase)
        self.log.add(report, phase)
        return result

    # -- the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Verdict and exit code; the run's record on disk."""
        try:
            self._finish(session, exitstatus)
        except Exception as error:  # noqa: BLE001 - Python would end with 1, which is a verdict
            told = bug_of(error, "pytest_sessionfinish")
            self.trouble = str(told)
            session.exitstatus = exit_of(told)

    def _finish(self, session: pytest.Session, exitstatus: int) -> None:
        self._signals.ending()
        if self.worker:
            self.config.workeroutput["tfm_harness"] = share.pack(self.log, self._bugs)  # type: ignore[attr-defined] # pytest-xdist's
            return
        if self.context is not None:
            pool.note_quarantine(self.log, self.context)
        if self._bugs:
            exitstatus = EXIT_BUG
        least = self.options["fail-under-coverage"].text
        record = make_record(
            self.log,
            self.context.run_dir.name if self.context else "",
            int(exitstatus),
            least_percent=float(least) if least else None,
            engines=installed_engine(),
            only_collected=self.config.option.collectonly,
        )
        self.record = harmless(record)
        code = int(exitstatus) if int(exitstatus) not in {0, 1, 2} else EXIT_CODES[record.verdict]
        session.exitstatus = code
        junit.add_suite_properties(self.config, junit.facts_of_run(record))
        junit.add_unused_waivers(self.config, record.waivers)
        if self.log.unfinished and not self.config.option.collectonly:
            junit.add_unfinished(self.config, record.tests, record.collected)
        if self.context is None:
            return
        try:
            self.page = write_run(self.record, self.context.run_dir, html=self.options["html-report"].text)
            self._signer.sign(self.context.run_dir)
            self._keeper.keep(self.record, self.context.run_dir)
        except (HarnessError, OSError) as error:
            # The verdict stands; that it could not be written is the bench's failure, never a pass.
            self.trouble = str(error)
            session.exitstatus = code or EXIT_BENCH

    def _tell_waiting(self, text: str) -> None:
        """Say what the user who waits must know; test processes of pytest-xdist share the terminal's stderr."""
        self._progress = self._progress or ProgressLine(self.config)
        self._progress.say(text)

    def pytest_harness_progress(self, what: str, done: int, total: int) -> None:
        """Show that long work goes on; test processes of pytest-xdist have no terminal."""
        if not self.worker:
            self._progress = self._progress or ProgressLine(self.config)
            self._progress.update(what, done, total)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        """A pytest-xdist worker has ended: what it knows about its boards."""
        del error
        self._bugs += share.merge(self.log, node)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Suites by board, findings, waivers, what was not covered."""
        try:
            self._summarise(terminalreporter)
        except Exception as error:  # noqa: BLE001 - Python would end with 1, which is a verdict
            self._at_the_end(error, "pytest_terminal_summary")

    def _summarise(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.record is not None:
            summary(terminalreporter, self.record)
        if self.trouble:
            terminalreporter.write_line(self.trouble, red=True)
        elif self.page is not None:
            terminalreporter.write_line(f"page: {shown_path(self.page)}")
            for line in self._signer.lines():
                terminalreporter.write_line(line)


def shown_path(path: Path) -> str:
    """A path as short as it can be opened from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _context(config: pytest.Config, options: Mapping[str, Setting]) -> RunContext:
    workerinput = getattr(config, "workerinput", None) or {}
    if pool.CONTROLLER in workerinput:
        end_with_parent(int(workerinput[pool.CONTROLLER]))
    return run_context(options, worker=workerinput.get("workerid", ""), shared=workerinput.get(pool.RUN_DIR, ""))
