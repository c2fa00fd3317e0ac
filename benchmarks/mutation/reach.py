"""Which tests reach which function: the tests run once on a copy of the package whose functions say that they ran.

A mutant then meets only the tests that reach its function, the quickest first. What is reached while a file is
collected or a fixture is set up counts for every test of that file, what is reached before, for every test. Processes
that a test starts count for that test.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import resource
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.mutation.server import MEMORY, limited_cpu_time

RECORDER = """
import atexit
import os
import resource
from pathlib import Path

SEEN: set[str] = set()


def _leave() -> None:
    folder = Path(os.environ["MUTATION_REACHED"])
    if folder.is_dir():
        (folder / str(os.getpid())).write_text("\\n".join(SEEN))


if "MUTATION_REACHED" in os.environ:
    atexit.register(_leave)
"""
"""A module of the copy: collects the functions' names; a child process leaves its own in a folder."""


class _Marker(ast.NodeTransformer):
    """Makes every function say its name when it is entered."""

    def __init__(self, file: str) -> None:
        self._file = file

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        has_docstring = ast.get_docstring(node, clean=False) is not None
        mark = ast.parse(f"_SEEN.add({function_name(self._file, node.lineno)!r})").body
        node.body[int(has_docstring) : int(has_docstring)] = mark
        return node


def function_name(file: str, line: int) -> str:
    """Names a function by its file below the package and the line of its `def`."""
    return f"{file}:{line}"


def marked(text: str, file: str) -> str:
    """The module with functions that say their names."""
    tree = _Marker(file).visit(ast.parse(text))
    place = int(ast.get_docstring(tree, clean=False) is not None)
    for number, statement in enumerate(tree.body):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            place = number + 1
    tree.body[place:place] = ast.parse("from tfm_harness._reached import SEEN as _SEEN").body
    return ast.unparse(ast.fix_missing_locations(tree))


def mark_copy(package: Path, files: Iterable[Path]) -> None:
    """Mark the files, which are below `package`, a copy that may hold links."""
    for file in files:
        place = package / file
        text = marked(place.read_text(), file.as_posix())
        place.unlink()
        place.write_text(text)
    (package / "_reached.py").write_text(RECORDER)


def function_at(text: bytes, file: str, line: int) -> str:
    """The innermost function around a line."""
    found = 0
    for node in ast.walk(ast.parse(text)):
        inside = isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
        if inside and isinstance(node, ast.FunctionDef):
            found = max(found, node.lineno)
    return function_name(file, found)


def file_of(test: str) -> str:
    """The file that a test is in."""
    return test.partition("::")[0]


@dataclass(frozen=True)
class Reach:
    """What the recording run saw: the seconds of each test, and the tests that reach each function."""

    seconds: dict[str, float]
    tests: dict[str, frozenset[str]]
    loaded: frozenset[str] = frozenset()
    """Functions that run when tests are loaded: what they made stays, whatever becomes of their code."""

    @classmethod
    def read(cls, parts: Iterable[str]) -> Reach:
        """From what `Recorder` wrote of each file."""
        seconds: dict[str, float] = {}
        tests: dict[str, set[str]] = defaultdict(set)
        loaded: set[str] = set()
        for stored in map(json.loads, parts):
            seconds |= stored["seconds"]
            loaded |= set(stored["loaded"])
            for function in stored["at start"]:
                tests[function] |= set(stored["seconds"])
            for test, functions in stored["by test"].items():
                for function in functions:
                    tests[function].add(test)
            of_file: dict[str, set[str]] = defaultdict(set)
            for test in stored["seconds"]:
                of_file[file_of(test)].add(test)
            for file, functions in stored["by file"].items():
                for function in functions:
                    tests[function] |= of_file[file]
        return cls(seconds, {function: frozenset(found) for function, found in tests.items()}, frozenset(loaded))

    def order(self, function: str, likely: Iterable[str] = ()) -> list[str]:
        """Tests to run: those that noticed something near before, one case of each, the others; quick ones first."""
        tests = self.tests.get(function, frozenset())
        before = [test for test in dict.fromkeys(likely) if test in tests]
        quick = sorted(tests - set(before), key=lambda test: (self.seconds[test], test))
        cases: Counter[str] = Counter()
        number = {}
        for test in quick:
            cases[test.partition("[")[0]] += 1
            number[test] = cases[test.partition("[")[0]]
        return [*before, *sorted(quick, key=lambda test: number[test] > 1)]

    def by_file(self, function: str, likely: Iterable[str] = (), first: int = 40) -> list[str]:
        """The same for a process that loads the tests itself: the quickest, then the rest file by file."""
        tests = self.tests.get(function, frozenset())
        before = [test for test in dict.fromkeys(likely) if test in tests]
        quick = sorted(tests - set(before), key=lambda test: (self.seconds[test], test))
        begin = set(quick[:first])
        cost: dict[str, float] = defaultdict(float)
        for test in quick:
            cost[file_of(test)] += self.seconds[test]
        rest = sorted(quick, key=lambda test: (test not in begin, cost[file_of(test)], file_of(test)))
        return [*before, *rest]


class Recorder:
    """Pytest plugin of the recording run."""

    def __init__(self, seen: set[str], children: Path, result: Path) -> None:
        self._seen = seen
        self._children = children
        self._result = result
        self._by_test: dict[str, list[str]] = {}
        self._by_file: dict[str, set[str]] = defaultdict(set)
        self._seconds: dict[str, float] = {}
        self._at_start = self._taken()
        self._loaded: dict[str, set[str]] = defaultdict(set)

    def _taken(self) -> set[str]:
        found = set(self._seen)
        self._seen.clear()
        for path in self._children.iterdir():
            found |= set(path.read_text().split("\n")) - {""}
            path.unlink()
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        self._taken()
        report = yield
        reached = self._taken()
        file = file_of(collector.nodeid)
        if file.endswith(".py"):
            self._by_file[file] |= reached
            self._loaded[file] |= reached
        else:  # a folder's conftest.py
            self._at_start |= reached
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        self._taken()
        yield
        self._by_file[file_of(item.nodeid)] |= self._taken()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        yield
        self._by_test[item.nodeid] = sorted(self._taken())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        self._result.write_text(json.dumps({file: self._of_file(file) for file in self._by_file}))

    def _of_file(self, file: str) -> dict[str, object]:
        """What `Reach.read` takes, of the tests of one file."""
        return {
            "seconds": {test: cost for test, cost in self._seconds.items() if file_of(test) == file},
            "by test": {test: functions for test, functions in self._by_test.items() if file_of(test) == file},
            "by file": {file: sorted(self._by_file[file])},
            "at start": sorted(self._at_start),
            "loaded": sorted(self._at_start | self._loaded[file]),
        }


class Chooser:
    """Pytest plugin of a mutant's run: only the chosen tests, in their order; says which one failed."""

    def __init__(self, order: list[str], result: Path) -> None:
        self._place = {test: number for number, test in enumerate(order)}
        self._result = result
        self._outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._place]
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in self._place])
        items[:] = sorted(chosen, key=lambda item: self._place[item.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        with limited_cpu_time():
            yield

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed or report.nodeid not in self._outcomes:
            self._outcomes[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        self._result.write_text(json.dumps(self._outcomes))


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin of a run that benchmarks.mutation.score starts: record, or choose."""
    if record := os.environ.get("MUTATION_RECORD"):
        seen = importlib.import_module("tfm_harness._reached").SEEN
        config.pluginmanager.register(Recorder(seen, Path(os.environ["MUTATION_REACHED"]), Path(record)))
    if choice := os.environ.get("MUTATION_CHOICE"):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        order = Path(choice).read_text().split("\n")
        config.pluginmanager.register(Chooser(order, Path(os.environ["MUTATION_RESULT"])))
