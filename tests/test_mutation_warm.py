"""Changes put into functions that are loaded, and the process that runs the tests of one change after another."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.mutation.runs import Outcome, WarmTests
from benchmarks.mutation.swap import swap

MODULE = """
import functools


def outer(x):
    def inner(y):
        return x + y
    return inner(1)


def decorate(function):
    def wrapper(x):
        return function(x) + 1
    return wrapper


@decorate
def decorated(x):
    return 2 * x


class Box:
    @property
    def size(self):
        return 3

    @size.setter
    def size(self, value):
        self.set = value

    class Inside:
        def deep(self):
            return [n + 4 for n in range(2)]


def far(x):
    if (x
        and x > 1):
        return 5
    return 6
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    (tmp_path / "swapped_code.py").write_text(MODULE)
    spec = importlib.util.spec_from_file_location("swapped_code", tmp_path / "swapped_code.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    yield found
    sys.modules.pop("swapped_code", None)


def swapped(module: ModuleType, old: str, new: str) -> bool:
    assert MODULE.count(old) == 1
    return swap(str(module.__file__), MODULE.encode(), MODULE.replace(old, new).encode())


def test_functions_methods_and_what_they_make_are_replaced(module: ModuleType) -> None:
    """Also those below a change that has fewer lines, and those that somebody holds."""
    held, box, decorated = module.outer, module.Box(), module.decorated
    assert swapped(module, "return x + y", "return x - y")
    assert held(5) == 4
    assert swapped(module, "2 * x", "2 // x")
    assert decorated(1) == 3
    assert swapped(module, "return 3", "return 30")
    assert box.size == 30
    assert swapped(module, "self.set = value", "pass")
    box.size = 1
    assert not hasattr(box, "set")
    assert swapped(module, "n + 4", "n - 4")
    assert module.Box.Inside().deep() == [-4, -3]
    assert swapped(module, "(x\n        and x > 1)", "(not (x and x > 1))")
    assert module.far(2) == 6


def test_what_would_not_be_the_change_is_left_alone(module: ModuleType) -> None:
    assert not swapped(module, "function(x) + 1", "function(x) + 2"), "a wrapper was made while the module was loaded"
    assert module.decorated(1) == 3
    assert not swapped(module, "return function(x) + 1", "return None"), "another closure"
    assert not swap(str(module.__file__) + "x", MODULE.encode(), MODULE.replace("2 * x", "3").encode()), "not loaded"
    assert not swap(str(module.__file__), MODULE.encode(), MODULE.encode()), "no change"


TESTS = """
import os
import subprocess
import sys

import pytest
from tfm_harness import code, late


def test_far():
    assert (code.far(2), late.loaded) == (5, True)


def test_process():
    subprocess.run([sys.executable, "-c", "from tfm_harness import code; assert code.outer(1) == 2"], check=True)


@pytest.mark.skip
def test_skipped():
    assert code.outer(1) == 2


def test_temporary(tmp_path):
    assert not list(tmp_path.iterdir())


def test_ends():
    if code.far(0) != 6:
        os._exit(0)
"""


def test_one_process_for_all_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is noticed, in the process and in others that a test starts, and is gone with the next request."""
    package = tmp_path / "copy" / "tfm_harness"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "late.py").write_text("loaded = True\n")
    place = package / "code.py"
    place.write_text(MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # ids are relative to this folder, wherever the checkout is
    file = tmp_path / "test_it.py"
    file.write_text(TESTS)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:tfm_harness")
    warm = WarmTests(package.parent, [str(file)])
    names = [f"test_it.py::test_{name}" for name in ("skipped", "temporary", "far", "process", "ends")]

    def run(old: str, new: str, order: list[str], limit: float = 60.0) -> Outcome | None:
        place.write_text(MODULE.replace(old, new))
        found = warm.run(order, limit, Path("code.py"), MODULE.encode())
        place.write_text(MODULE)
        return found

    try:
        assert warm.run(names, 60.0) == Outcome(killed=False, tests=5, skipped=1)
        assert run("return 5", "return 7", names) == Outcome(True, names[2], 5, 1)
        assert run("x + y", "x - y", names) == Outcome(True, names[3], 5, 1)
        assert run("return 6", "return 7", names) == Outcome(True, names[4], 5, 1)
        assert run("return 6", "return 7", names[:4]) == Outcome(killed=False, tests=4, skipped=1)
        assert run("return 6", "return 7", names, limit=-1.0) == Outcome(killed=False, tests=5, skipped=0, left=5)
        assert run("return 6", "return 7", names[:1]) == Outcome(killed=False, tests=1, skipped=1)
        assert run("function(x) + 1", "function(x) + 2", names) is None
        assert warm.passes(names[2])
    finally:
        warm.close()
