"""Console suites in pytest: one test runs the suite, and each of its cases becomes an item of its own.

The cases are known only once they have run, so they cannot be collected. The test that runs the
suite (in ``suites/console``) leaves the judgement with its item; this plugin then adds one item a
case and reports it like any other: its own outcome, time and console excerpt, in the terminal, in
JUnit and under pytest-xdist.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest
from _pytest.runner import runtestprotocol  # what other plugins that add reports build on, too

from tfm_harness.errors import ProductError
from tfm_harness.plugin.net import while_collecting

if TYPE_CHECKING:
    from tfm_harness.bench.combination import TargetBuild
    from tfm_harness.console_suites.live import LiveRun
    from tfm_harness.console_suites.model import Case

__all__ = ["RUN", "ConsoleCase", "leave", "wanted_suites"]

RUN: pytest.StashKey[LiveRun] = pytest.StashKey()
"""Where the test that runs a suite leaves what came of it."""

_NONE = "none-listed"


def leave(item: pytest.Item, run: LiveRun) -> None:
    """Leave a run's outcome with the test that ran it; its cases are reported behind it."""
    item.stash[RUN] = run


def wanted_suites(combinations: Sequence[TargetBuild]) -> list[str]:
    """Names of the console suites that the session's builds list, for parametrizing; never empty."""
    names = {config.suite: None for combination in combinations for config in combination.build.console_suites}
    return list(names) or [_NONE]


@while_collecting
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each console suite that any of the session's builds lists."""
    if not _runs_a_suite(metafunc.fixturenames):
        return
    from tfm_harness.plugin.keys import PLUGIN

    plugin = metafunc.config.stash.get(PLUGIN, None)
    metafunc.parametrize("console_suite", wanted_suites(plugin.combinations if plugin else ()))


def _runs_a_suite(fixtures: Iterable[str]) -> bool:
    """Whether a test is one that runs a console suite on a board (not a user's fixture of the same name)."""
    return {"console_suite", "tfm_combination"} <= set(fixtures)


class ConsoleCase(pytest.Item):
    """A case that has already run on the device."""

    case: Case
    transcript: str

    @classmethod
    def of(cls, parent: pytest.Item, case: Case, name: str, transcript: str) -> ConsoleCase:
        """The item of `case`, beside the test that ran its suite."""
        item: ConsoleCase = cls.from_parent(_parent(parent), name=name)
        item.case, item.transcript = case, transcript
        callspec = getattr(parent, "callspec", None)
        if callspec is not None:
            item.callspec = callspec  # type: ignore[attr-defined] # says which combination it ran on
        item.user_properties += [
            ("harness.console-suite", case.suite),
            ("harness.console-line", str(case.line)),
        ]
        return item

    def runtest(self) -> None:
        """Say what became of it."""
        from tfm_harness.console_suites.model import Outcome

        case = self.case
        if case.outcome is Outcome.PASSED:
            return
        if case.outcome is Outcome.SKIPPED:
            pytest.skip(case.detail[0] if case.detail else "the suite skipped it")
        raise ProductError(
            f"{case.id} {case.outcome}" + (f": {case.description}" if case.description else ""),
            kind=f"console-case-{case.outcome}",
            expected="the suite's own 'passed'",
            seen="\n".join(case.detail) or "no outcome",
            where=f"{self.transcript}:{case.line}",
        )

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Where it is reported to stand."""
        return str(self.path), None, self.name


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run the test that runs a suite; then report each case."""
    if not _runs_a_suite(getattr(item, "fixturenames", ())):
        return None
    # The cases keep the collectors around the test alive; which cases there are is known only afterwards.
    anchor = ConsoleCase.from_parent(_parent(item), name=f"{item.name}::cases")
    hooks = item.ihook
    hooks.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    runtestprotocol(item, nextitem=anchor)
    hooks.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    run = item.stash.get(RUN, None)
    cases = list(_items(item, run)) if run is not None else []
    item.session.testscollected += len(cases)
    for index, case in enumerate(cases):
        if item.session.shouldfail or item.session.shouldstop:
            break
        following = cases[index + 1] if index + 1 < len(cases) else nextitem
        with _in_place_of(item, case):
            hooks.pytest_runtest_logstart(nodeid=case.nodeid, location=case.location)
            runtestprotocol(case, nextitem=following)
            hooks.pytest_runtest_logfinish(nodeid=case.nodeid, location=case.location)
    if not cases or item.session.shouldfail or item.session.shouldstop:
        # Nobody came after the test to tear down what the anchor kept alive.
        state = item.session._setupstate  # noqa: SLF001 - as above
        call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
        report = hooks.pytest_runtest_makereport(item=item, call=call)
        if report.failed:
            hooks.pytest_runtest_logreport(report=report)
    return True


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A case took the time it took on the device, and shows what the console said meanwhile."""
    report = yield
    if isinstance(item, ConsoleCase) and call.when == "call":
        if item.case.seconds is not None:
            report.duration = item.case.seconds
        if item.case.excerpt:
            report.sections.append((f"console, from {item.transcript}:{item.case.line}", "\n".join(item.case.excerpt)))
    return report


def _parent(item: pytest.Item) -> pytest.Collector:
    assert isinstance(item.parent, pytest.Collector)  # noqa: S101 - test functions live in modules and classes
    return item.parent


def _items(item: pytest.Item, run: LiveRun) -> Iterator[ConsoleCase]:
    seen: dict[str, int] = {}
    transcript = dict(item.user_properties).get("harness.transcript", "the transcript")
    for case in run.judgement.cases:
        name = "::".join(part for part in (item.name, case.area, case.id) if part)
        seen[name] = seen.get(name, 0) + 1
        number = f"#{seen[name]}" if seen[name] > 1 else ""
        yield ConsoleCase.of(item, case, name + number, str(transcript))


@contextlib.contextmanager
def _in_place_of(item: pytest.Item, case: ConsoleCase) -> Iterator[None]:
    """pytest-xdist's workers report only items of the session's list: let the case stand in for its test."""
    items = item.session.items
    try:
        index = items.index(item)
    except ValueError:
        yield
        return
    items[index] = case
    try:
        yield
    finally:
        items[index] = item
