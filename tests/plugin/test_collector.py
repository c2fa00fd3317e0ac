"""The garbage collector rests while a session begins, and only then."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from tfm_harness.plugin import collector

from tests.plugin.conftest import Project

# It leaves a thread and a socket where pytest-xdist is installed.
PLAIN = ("-p", "no:rerunfailures")


@pytest.fixture(autouse=True)
def _nothing_is_frozen() -> Iterator[None]:
    """As in a process whose tests were not collected by another one (`tests.side_by_side`)."""
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    yield
    if frozen:
        gc.freeze()


LOOKS = """
import gc
DURING = gc.isenabled()
def test_it_collects_again(device):
    assert not DURING
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
"""


def test_it_rests_until_tests_are_collected(project: Project) -> None:
    project.test(LOOKS)
    assert project.run().ret == 0


def test_without_a_board_nothing_changes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import gc\nDURING = gc.isenabled()\ndef test_it(): assert DURING and not gc.get_freeze_count()"
    )
    assert pytester.runpytest_inprocess(*PLAIN).ret == 0


def test_a_collector_that_is_off_stays_off(project: Project) -> None:
    project.append_conftest("import gc\ngc.disable()")
    project.test("import gc\ndef test_it(device): assert not gc.isenabled()")
    try:
        assert project.run().ret == 0
    finally:
        gc.enable()


def test_a_session_that_does_not_begin_leaves_it_as_it_was(pytester: pytest.Pytester) -> None:
    frozen = gc.get_freeze_count()
    config = pytester.parseconfig(*PLAIN)
    collector.pause(config)
    assert not gc.isenabled()
    config._ensure_unconfigure()
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_it_goes_on_once(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig(*PLAIN)
    collector.pause(config)
    collector.resume(config)
    assert gc.isenabled()
    gc.disable()
    try:
        collector.resume(config)
        assert not gc.isenabled()
    finally:
        gc.enable()
        config._ensure_unconfigure()


def test_the_end_of_the_process_searches_nothing(project: Project) -> None:
    project.append_conftest(
        "import atexit, gc\nfrom pathlib import Path\n"
        "atexit.register(lambda: Path('at-the-end').write_text(str(gc.get_freeze_count())))"
    )
    project.test("import gc\ndef test_it(device): gc.unfreeze()")
    assert project.run().ret == 0
    assert int((project.path / "at-the-end").read_text()) > 10_000
