"""The plugin of a session that has boards: opens them, judges tests, keeps the record, sets the exit code."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from tfm_harness.bench.not_covered import NotCovered
from tfm_harness.boards.base import RunContext
from tfm_harness.coverage.suite_words import claim
from tfm_harness.errors import HarnessError, InfrastructureError, Responsibility
from tfm_harness.plugin import console_items, evidence, junit, pool
from tfm_harness.plugin.bench import REPORT, Bench
from tfm_harness.plugin.fixtures import skip_uncovered
from tfm_harness.plugin.neighbours import keep_apart
from tfm_harness.plugin.options import Setting, settings
from tfm_harness.plugin.outcomes import FindingsFailed, as_record, classify, location
from tfm_harness.plugin.pairs import Pair, load_pairs, run_context
from tfm_harness.plugin.progress import ProgressLine
from tfm_harness.plugin.record import EXIT_BENCH, NOT_RUN, RunLog, exit_code
from tfm_harness.plugin.runfile import verdict_of, write_run
from tfm_harness.plugin.summary import summary

__all__ = ["HarnessPlugin", "activate"]

_JUDGES = frozenset({"checks", "verifier", "reference", "latency"})
_NO_CONTROL = frozenset({"no-reset-control", "no-power-control"})  # what a target does not offer covers nothing
"""Who asks for one of these and states nothing has no verdict."""


def activate(config: pytest.Config) -> HarnessPlugin:
    """Validate everything that was asked for and register the session's plugin. Touches no board.

    Raises:
        ConfigError: an option, a target or a build is wrong; the text says where it came from.
    """
    options = settings(config)
    pairs = load_pairs(options["target"], options["build"], options["policy"], pool=options["pool"].on)
    pool.check_workers(config, pairs)
    plugin = HarnessPlugin(config, options, pairs)
    config.pluginmanager.register(plugin, "tfm_harness_session")
    config.pluginmanager.register(pool.PoolPlugin(plugin), "tfm_harness_pool")
    config.pluginmanager.register(console_items, "tfm_harness_console_items")
    keep_apart(config)
    return plugin


class HarnessPlugin:
    """Hooks of a session with boards. State that others need is in the `Bench` of each pair."""

    def __init__(self, config: pytest.Config, options: Mapping[str, Setting], pairs: tuple[Pair, ...]) -> None:
        self.config = config
        self.options = options
        self.pairs = pairs
        self.log = RunLog(pairs)
        self.worker = hasattr(config, "workerinput")  # a pytest-xdist worker: the controller prints and records
        self.context = None if config.option.collectonly else _context(config, options)
        self.record: Path | None = None
        self.trouble = ""
        self._open: dict[str, Bench] = {}
        self._never_opened: dict[str, list[tuple[str, str]]] = {}  # evidence, shown with the first test that wanted it
        self._progress: ProgressLine | None = None

    # -- boards

    def open_bench(self, pair: Pair) -> Iterator[Bench]:
        """The body of the `bench` fixture: open, yield, close, whatever happens."""
        if self.context is None:
            raise RuntimeError("a bench was asked for while collecting")
        bench = Bench(pair, self.context, self.options, self.config.hook)
        self._open[pair.name] = bench
        try:
            try:
                bench.open()
            except HarnessError:
                self._never_opened[pair.name] = bench.evidence()
                raise
            self.log.board_ready(pair.name, bench.facts())
            yield bench
        finally:
            try:
                self.log.board_done(pair.name, bench.facts(), bench.closing_record())
            finally:
                bench.close()
                del self._open[pair.name]

    def bench_for(self, pair: Pair) -> Bench | None:
        """The open bench of a pair."""
        return self._open.get(pair.name)

    def pytest_unconfigure(self) -> None:
        """Close what a second Ctrl-C left open."""
        for bench in list(self._open.values()):
            bench.close()

    # -- collecting

    @pytest.hookimpl
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Each test that wants a board runs for each pair; one that asks for a model runs for each of its build's."""
        if "harness_pair" in metafunc.fixturenames:
            metafunc.parametrize(
                "harness_pair", self.pairs, ids=[pair.name for pair in self.pairs], indirect=True, scope="session"
            )
        if "build_model" in metafunc.fixturenames:
            names = dict.fromkeys(name for pair in self.pairs for name in models_of(pair))
            metafunc.parametrize("build_model", list(names), indirect=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Pairs and models make a table; what stands in it for models of other builds is no test."""
        items[:] = [item for item in items if belongs(item)]
        if self.options["quick"].on:
            leave_out_thorough(items)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """A run that leaves tests out cannot say that a waiver is unused."""
        self.log.deselected += len(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Which suites take part."""
        folders = {item.path.parent for item in session.items}
        self.log.collected |= {folder.name for folder in folders}
        for folder in folders:
            words = claim(folder / "README.md")
            if words:
                self.log.claims[folder.name] = words

    def pytest_report_header(self) -> list[str]:
        """Targets, firmware, engines, policy."""
        return evidence.header(self.pairs, self.context)

    # -- running

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """After the fixtures are there: is what the test needs there too?"""
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
        except pytest.skip.Exception:
            if not report.findings:
                raise
        except NotCovered as missing:
            if not report.findings:
                pytest.skip(str(missing))
        except BaseException as raised:  # noqa: BLE001 - judged below, raised again
            error = raised
        latent = bench.end_test(report, error)
        error = latent if error is None else error
        if isinstance(error, InfrastructureError) and error.kind in _NO_CONTROL and not report.failed:
            item.user_properties.append(("harness.not-covered", error.kind))
            pytest.skip(f"not covered: {error.message}")
        if error is not None and not (report.failed and classify(error).fault is not Responsibility.PRODUCT):
            if report.failed:
                error.add_note(str(FindingsFailed(report)))
            raise error
        if report.failed or (not report.findings and not _JUDGES.isdisjoint(item.funcargs)):
            raise FindingsFailed(report) from error
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say whose fault it is, and show the evidence, in the report."""
        report = yield
        bench = bench_of(item)
        record: dict[str, object] = {
            "pair": bench.pair.name if bench else pair_name(item),
            "suite": suite_of(item),
            "fault": "",
            "kind": "",
        }
        shown: list[tuple[str, str]] = []
        findings = item.stash.get(REPORT, None)
        if call.when == "call" and findings is not None:
            record["findings"] = as_record(findings)
            item.user_properties += junit.findings(findings)
        if call.excinfo is not None and report.failed:
            outcome = classify(call.excinfo.value)
            if bench is not None:
                outcome = bench.reconsider(outcome, call.excinfo.value)
            record["fault"], record["kind"] = str(outcome.fault), outcome.kind
            item.user_properties += [("harness.fault", str(outcome.fault)), ("harness.kind", outcome.kind)]
            if record["pair"]:
                item.user_properties.append(("harness.board", str(record["pair"])))
            where = location(call.excinfo, item)
            text = evidence.failure_text(call.excinfo.value, outcome, where)
            if text is not None:
                report.longrepr = text
            if bench is not None:
                shown = bench.evidence()
                bench.failed(outcome)
            else:
                shown = self._never_opened.pop(pair_name(item), [])
        elif report.skipped and findings is None and call.excinfo is not None:
            record["not_covered"] = str(call.excinfo.value)
        if bench is not None and call.when == "call":
            shown += bench.device_log()
        report.sections += evidence.fitted(report.longreprtext, shown) if report.failed else shown
        report.user_properties = list(item.user_properties)
        report.harness = record  # type: ignore[attr-defined] # pytest reports take additional plain data
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_report_to_serializable(self) -> Generator[None, dict[str, object] | None, dict[str, object] | None]:
        """On the way from a worker of pytest-xdist: thousands of findings travel cheaper as one text."""
        data = yield
        if data is not None and "harness" in data:
            data["harness"] = json.dumps(data["harness"], default=str)
        return data

    @pytest.hookimpl(wrapper=True)
    def pytest_report_from_serializable(
        self,
    ) -> Generator[
        None, pytest.CollectReport | pytest.TestReport | None, pytest.CollectReport | pytest.TestReport | None
    ]:
        """Arrived at the controller."""
        report = yield
        text = getattr(report, "harness", None)
        if isinstance(text, str):
            report.harness = json.loads(text)  # type: ignore[union-attr] # as above
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
        """A bench's failure in the middle of a test is an error, not a failed test."""
        record = record_of(report)
        if report.when != "call" or not report.failed or record.get("fault") in ("", str(Responsibility.PRODUCT), None):
            return None
        return "error", "E", (f"ERROR ({record['fault']})", {"yellow": True})

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Keep the record; JUnit's failure becomes an error where the bench failed."""
        result = yield
        record = record_of(report)
        if (
            report.when == "call"
            and report.failed
            and record.get("fault") not in ("", str(Responsibility.PRODUCT), None)
        ):
            junit.failure_to_error(self.config, report)
        self.log.add(report, record)
        return result

    # -- the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Exit code by fault; the run's record on disk."""
        if self.worker:
            self.config.workeroutput["tfm_harness_boards"] = json.dumps(self.log.boards, default=str)  # type: ignore[attr-defined] # pytest-xdist's
            return
        self.log.finish()
        code = session.exitstatus = exit_code(self.log, int(exitstatus))
        junit.add_suite_properties(
            self.config, {"harness.verdict": verdict_of(code), **evidence.facts_of_run(self.log)}
        )
        junit.add_unused_waivers(self.config, self.log)
        if self.context is None:
            return
        try:
            self.record = write_run(self.log, self.context.run_dir, code, html=self.options["html-report"].text)
        except (HarnessError, OSError) as error:
            # The verdict stands; that it could not be written is the bench's failure, never a pass.
            self.trouble = str(error)
            session.exitstatus = code or EXIT_BENCH

    def pytest_harness_progress(self, what: str, done: int, total: int) -> None:
        """Show that long work goes on; test processes of pytest-xdist have no terminal."""
        if not self.worker:
            self._progress = self._progress or ProgressLine(self.config)
            self._progress.update(what, done, total)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        """A pytest-xdist worker has ended: what it knows about its boards."""
        del error
        text = getattr(node, "workeroutput", {}).get("tfm_harness_boards", "{}")
        for pair, facts in json.loads(text).items():
            self.log.merge(pair, facts)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Suites by board, findings, waivers, what was not covered."""
        summary(terminalreporter, self.log, self.record)
        if self.trouble:
            terminalreporter.write_line(self.trouble, red=True)


def bench_of(item: pytest.Item) -> Bench | None:
    """The bench a test runs on, once it is open."""
    values = getattr(item, "funcargs", None) or {}
    bench = values.get("bench")
    return bench if isinstance(bench, Bench) else None


def pair_name(item: pytest.Item) -> str:
    """The pair a test was meant to run on, also when its bench never opened."""
    callspec = getattr(item, "callspec", None)
    pair = callspec.params.get("harness_pair") if callspec else None
    return pair.name if isinstance(pair, Pair) else ""


def models_of(pair: Pair) -> list[str]:
    """The models a build declares; an empty name stands for none, so that a test can say so."""
    return list(pair.build.models) or [""]


def belongs(item: pytest.Item) -> bool:
    """Whether a test's model is one of its pair's build."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    pair = params.get("harness_pair")
    return "build_model" not in params or not isinstance(pair, Pair) or params["build_model"] in models_of(pair)


def leave_out_thorough(items: Iterable[pytest.Item]) -> None:
    """Skip tests marked ``thorough`` before a board is touched; the record counts them as not run."""
    for item in items:
        if item.get_closest_marker("thorough") is not None:
            item.add_marker(pytest.mark.skip(reason=f"{NOT_RUN} thorough, and the run was asked to be quick"))


def suite_of(item: pytest.Item) -> str:
    """A suite is a folder of test modules."""
    return item.path.parent.name


def record_of(report: object) -> dict[str, object]:
    """The plain data this plugin put on a report (empty for others' reports)."""
    return cast("dict[str, object]", getattr(report, "harness", {}))


def _context(config: pytest.Config, options: Mapping[str, Setting]) -> RunContext:
    workerinput = getattr(config, "workerinput", None) or {}
    return run_context(options, worker=workerinput.get("workerid", ""), shared=workerinput.get(pool.RUN_DIR, ""))
