"""Tests that run side by side in forked processes: all run once, and whatever happens to one of them is told."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from tfm_harness.boards.supervisor import wait_until

from tests.side_by_side import Shares
from tests.warm import run_pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def run(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    return run_pytest(pytester, "-p", "tests.side_by_side", "-p", "no:rerunfailures", "--side-by-side=2", *words)


@pytest.mark.parametrize(("tests", "workers"), [(0, 1), (1, 2), (7, 3), (100, 4)])
def test_each_test_is_taken_once_whoever_is_slow(tests: int, workers: int) -> None:
    for slow in range(workers):
        shares = Shares(tests, workers)
        own = range(tests * slow // workers, tests * (slow + 1) // workers)
        taken = [number for number in [shares.take(slow)] if number is not None]
        assert taken == ([*own][:1] or taken)
        for worker in range(workers):
            while (number := shares.take(worker)) is not None:
                taken.append(number)
        assert Counter(taken) == dict.fromkeys(range(tests), 1)


def test_nobody_takes_what_was_left() -> None:
    shares = Shares(9, 2)
    assert [shares.take(0), shares.take(1), shares.take(1)] == [0, 4, 5]
    shares.leave_the_rest()
    assert [shares.take(0), shares.take(1)] == [None, None]


def test_all_run_in_processes_of_their_own_folders(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest
        HERE = pathlib.Path(__file__).parent
        COLLECTED = os.getpid()

        @pytest.fixture(scope="session", autouse=True)
        def ended(tmp_path_factory):
            yield
            (HERE / f"ended-{os.getpid()}").write_text(str(tmp_path_factory.getbasetemp()))

        @pytest.mark.parametrize("n", range(40))
        def test_it(n, tmp_path):
            assert os.getpid() != COLLECTED
            assert tmp_path.is_dir()
            print("said by", n)
            (HERE / f"ran-{n}").touch(exist_ok=False)
            assert n != 31
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=39, failed=1)
    assert result.ret == 1
    assert "said by 31" in result.outlines
    assert "said by 30" not in result.outlines
    assert len([*pytester.path.glob("ran-*")]) == 40
    ended = [Path(path.read_text()) for path in pytester.path.glob("ended-*")]
    assert sorted(path.name for path in ended) == ["worker0", "worker1"]


def test_a_process_that_dies_fails_its_tests_and_the_others_go_on(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pytest
        @pytest.mark.parametrize("n", range(40))
        def test_it(n):
            if n == 5:
                os.kill(os.getpid(), 9)
        """
    )
    result = run(pytester)
    assert result.ret == 1
    # The one that ran, and the one after it, which was that process's, too.
    result.assert_outcomes(passed=38, failed=2)
    result.stdout.re_match_lines(
        [r".*test_it\[5\]: its process ended with -9.*", r".*test_it\[6\]: no process ran it to its end"]
    )


@pytest.mark.parametrize("end", ["atexit.register(os._exit, 3)", "atexit.register(os.kill, os.getpid(), 9)"])
def test_a_process_that_dies_after_its_tests_is_told(pytester: pytest.Pytester, end: str) -> None:
    pytester.makepyfile(f"import atexit, os\ndef test_1(): {end}\ndef test_2(): pass")
    result = run(pytester)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert re.search("ended with (3|-9) .*, between two of them", result.stdout.str())


def test_a_test_that_ends_the_session_ends_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\ndef test_1(): pytest.exit('enough')\ndef test_2(): pass")
    result = run(pytester)
    assert result.ret != 0
    assert "enough" in result.stdout.str()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_that_shows(pytester: pytest.Pytester, number: int) -> None:
    pytester.makepyfile(
        f"""
        import os, pathlib, pytest, select
        SHOWS = os.getpid()

        @pytest.fixture(scope="session")
        def given_back():
            yield
            pathlib.Path("given-back").touch()

        def test_1(given_back):
            ended = os.pidfd_open(SHOWS)
            os.kill(SHOWS, {int(number)})
            assert select.select([ended], [], [], 60)[0]
        """
    )
    result = run(pytester)
    assert result.ret == -number
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert wait_until((pytester.path / "given-back").exists, 30)


def test_errors_at_each_end_of_a_test_and_of_the_session(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest, warnings
        @pytest.fixture
        def early(): raise OSError("early")
        @pytest.fixture
        def late():
            yield
            raise OSError("late")
        @pytest.fixture(scope="session")
        def at_last():
            yield
            raise OSError("at last")
        def test_1(early): pass
        def test_2(late): pass
        def test_3(at_last): pass
        def test_4(): pytest.skip("words")
        @pytest.mark.xfail
        def test_5(): assert False
        def test_6(): warnings.warn("a word of warning")
        """
    )
    result = run(pytester, "-rs")
    assert result.ret == 1
    result.assert_outcomes(passed=3, errors=3, skipped=1, xfailed=1, warnings=1)
    for words in ("early", "late", "at last", "words", "a word of warning"):
        assert re.search(rf"\b{words}\b", result.stdout.str()), words


def test_it_stops_where_it_is_told_to(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("n", range(400))
        def test_it(n): assert n > 100
        """
    )
    result = run(pytester, "-x")
    assert result.ret == 1
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] in {1, 2}
    assert outcomes.get("passed", 0) + outcomes["failed"] < 400
    result.stdout.fnmatch_lines("*stopping after *")


def test_what_cannot_be_collected_is_told_as_ever(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a="def test_it(): pass", test_b="raise OSError('not to be loaded')")
    result = run(pytester)
    assert result.ret == 2
    result.stdout.fnmatch_lines("*not to be loaded*")


def test_of_one_process_as_of_any(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import os\nHERE = os.getpid()\ndef test_it(): assert os.getpid() == HERE")
    result = run_pytest(pytester, "-p", "tests.side_by_side")
    assert result.ret == 0
