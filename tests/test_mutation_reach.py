"""Which tests reach which function: recorded by tests that run on marked code, and used to run those alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.mutation.reach import Reach, function_at, mark_copy, marked

MODULE = '''"""Docs."""
from __future__ import annotations

import functools

NUMBER = 1
"""A text that is no docstring of the module."""


def outer(x: int) -> int:
    """Docs."""
    def inner() -> int:
        return x

    return inner() + 1


class Box:
    @functools.cached_property
    def held(self) -> int: return 3


def child() -> int:
    return 4


def table() -> int:
    return 5
'''
TESTS = """
import os
import subprocess
import sys

import pytest
from tfm_harness.verify import code

BOX = code.Box()
TABLE = code.table()


@pytest.fixture(scope="module")
def number():
    return code.Box().held


def test_outer():
    assert code.outer(1) == 2


def test_held(number):
    assert number == 3


def test_of_a_process():
    subprocess.run([sys.executable, "-c", "from tfm_harness.verify import code; code.child()"], check=True)


def test_nothing():
    pass
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A package tfm_harness with one module, marked, and a file of tests."""
    package = tmp_path / "copy" / "tfm_harness"
    (package / "verify").mkdir(parents=True)
    for name in ("__init__.py", "verify/__init__.py"):
        (package / name).touch()
    (package / "verify" / "code.py").write_text(MODULE)
    mark_copy(package, [Path("verify/code.py")])
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    environment = {"PYTHONPATH": f"{folder / 'copy'}:{root}", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:tfm_harness", "-p", "benchmarks.mutation.reach"]
    return subprocess.run(
        [sys.executable, *words, "test_it.py"], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


def test_functions_say_their_names() -> None:
    text = marked(MODULE, "verify/code.py")
    assert text.count("_SEEN.add(") == 5
    assert text.startswith('"""Docs."""\nfrom __future__')
    assert 'def outer(x: int) -> int:\n    """Docs."""\n    _SEEN.add(' in text


def test_the_innermost_function_counts() -> None:
    lines = MODULE.splitlines()
    inner = lines.index("        return x") + 1
    assert function_at(MODULE.encode(), "f.py", inner) == f"f.py:{inner - 1}"
    assert function_at(MODULE.encode(), "f.py", inner + 2) == f"f.py:{lines.index('def outer(x: int) -> int:') + 1}"


def test_what_each_test_reaches(copy: Path) -> None:
    """Directly, by a fixture (then every test of the file counts), and by a process that it starts."""
    result = copy / "reach.json"
    (copy / "children").mkdir()
    done = run(copy, MUTATION_RECORD=str(result), MUTATION_REACHED=str(copy / "children"))
    assert done.returncode == 0, done.stdout
    (text,) = json.loads(result.read_text()).values()
    reach = Reach.read([json.dumps(text)])

    def of(line: str) -> set[str]:
        number = MODULE.splitlines().index(line) + 1
        return {test.partition("::")[2] for test in reach.order(f"verify/code.py:{number}")}

    assert of("def outer(x: int) -> int:") == {"test_outer"}
    assert of("    def inner() -> int:") == {"test_outer"}
    assert of("def child() -> int:") == {"test_of_a_process"}
    assert of("    def held(self) -> int: return 3") == {
        "test_outer", "test_held", "test_of_a_process", "test_nothing",
    }  # fmt: skip
    assert len(of("def table() -> int:")) == 4
    assert reach.loaded == {f"verify/code.py:{MODULE.splitlines().index('def table() -> int:') + 1}"}


def recorded(seconds: dict[str, float], by_test: dict[str, list[str]], start: Sequence[str] = ()) -> str:
    return json.dumps(
        {"seconds": seconds, "by test": by_test, "by file": {}, "at start": list(start), "loaded": list(start)}
    )


def test_likely_tests_run_first_then_quick_ones_then_file_by_file() -> None:
    seconds = {"a::slow": 9.0, "a::quick": 0.1, "b::slow": 5.0, "b::middle": 1.0, "c::other": 0.0}
    by_test = {test: ["f:1"] for test in seconds if test != "c::other"}
    stored = recorded(seconds, by_test)
    order = Reach.read([stored]).by_file("f:1", ["b::slow", "c::other"], first=1)
    assert order == ["b::slow", "a::quick", "b::middle", "a::slow"]


def test_one_case_of_each_test_runs_before_the_others() -> None:
    seconds = {"a::slow": 9.0, "a::x[1]": 0.1, "a::x[2]": 0.2, "a::x[3]": 0.3, "a::y[1]": 0.3, "a::y[2]": 0.1}
    stored = recorded(seconds, {test: ["f:1"] for test in seconds})
    order = Reach.read([stored]).order("f:1", ["a::x[3]"])
    assert order == ["a::x[3]", "a::x[1]", "a::y[2]", "a::slow", "a::x[2]", "a::y[1]"]


def test_what_is_reached_before_any_test_counts_for_all() -> None:
    reach = Reach.read([recorded({"a::x": 1.0, "a::y": 2.0}, {"a::x": ["f:1"]}, start=["f:2"])])
    assert (reach.order("f:1"), reach.order("f:2")) == (["a::x"], ["a::x", "a::y"])
    assert reach.loaded == {"f:2"}


def test_only_the_chosen_tests_run_and_the_one_that_fails_is_told(copy: Path) -> None:
    (copy / "choice").write_text("test_it.py::test_nothing\ntest_it.py::test_outer")
    variables = {"MUTATION_CHOICE": str(copy / "choice"), "MUTATION_RESULT": str(copy / "result")}
    done = run(copy, **variables)
    assert (done.returncode, "2 passed, 2 deselected" in done.stdout) == (0, True), done.stdout
    assert set(json.loads((copy / "result").read_text()).values()) == {"passed"}
    place = copy / "copy/tfm_harness/verify/code.py"
    place.write_text(MODULE.replace("+ 1", "+ 2"))
    assert run(copy, **variables).returncode == 1
    outcomes = json.loads((copy / "result").read_text())
    assert [test for test, outcome in outcomes.items() if outcome == "failed"] == ["test_it.py::test_outer"]


def test_a_change_that_loops_fails_by_its_cpu_time(copy: Path) -> None:
    (copy / "choice").write_text("test_it.py::test_outer")
    (copy / "copy/tfm_harness/verify/code.py").write_text(
        MODULE.replace("return inner() + 1", "\n    while True: pass")
    )
    variables = {"MUTATION_CHOICE": str(copy / "choice"), "MUTATION_RESULT": str(copy / "result")}
    done = run(copy, **variables, MUTATION_LOOPS="0.3")
    assert (done.returncode, "more than 0.3 s of CPU time" in done.stdout) == (1, True), done.stdout
