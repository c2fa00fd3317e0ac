"""A forked run is what a new interpreter's run is: output, status, files, environment, modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.warm import run_pytest

LOOKS = """
import os, signal, sys
import pytest

def test_what_is_seen(tmp_path):
    seen = {
        "folder": os.getcwd(),
        "umask": os.umask(0o077),
        "environment": sorted(set(os.environ) - {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"}),
        "path": [entry for entry in sys.path if entry],
        "input": sys.stdin.read() if not sys.flags.isolated else "",
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "files": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in (1, 2)),
    }
    (tmp_path / "seen").write_text(repr(seen))

@pytest.mark.parametrize("n", range(3))
def test_numbers(n):
    assert n < 2, "too many"
"""


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"\b\d+\.\d+s\b|runpytest-\d+|pytest-\d+", "*", line) for line in lines if line]


def test_it_sees_and_says_what_a_new_interpreter_does(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LOOKS)
    words = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio", "-s", "-v")
    runs = [run_pytest(pytester, *words), pytester.runpytest_subprocess(*words)]
    assert [run.ret for run in runs] == [1, 1]
    forked, new = (plain(run.outlines) for run in runs)
    # The first lines name the interpreter and how pytest was called.
    assert forked[1:] == new[1:]
    assert "3 passed, 1 failed" in new[-1] or "1 failed, 3 passed" in new[-1]
    seen = [(pytester.path / f"runpytest-{n}" / "test_what_is_seen0" / "seen").read_text() for n in (0, 1)]
    assert seen[0] == seen[1]


def test_the_processes_of_a_run_find_what_it_finds(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of pytest-xdist gets the search path of its run, not of the one that the process was started for."""
    pytester.makepyfile("import only_here\ndef test_it(): assert only_here")
    assert run_pytest(pytester).ret == pytest.ExitCode.INTERRUPTED
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "only_here.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "extra"))
    run_pytest(pytester, "-p", "only_here", "-n1").assert_outcomes(passed=1)


@pytest.mark.parametrize(("line", "status"), [("os.kill(os.getpid(), 9)", -9), ("os._exit(7)", 7), ("pass", 0)])
def test_its_status_is_the_processes(pytester: pytest.Pytester, line: str, status: int) -> None:
    pytester.makepyfile(f"import os\ndef test_it():\n    {line}\n")
    assert run_pytest(pytester).ret == status
    assert run_pytest(pytester, "--version").ret == 0  # the next one is not disturbed


def test_what_does_not_end_is_ended(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import threading\ndef test_it(): threading.Event().wait()\n")
    with pytest.raises(pytester.TimeoutExpired):
        run_pytest(pytester, timeout=0.5)
    assert run_pytest(pytester, "--version").ret == 0
