"""An exception of ours in any hook ends a session as 3 (a bug of the harness): never as a verdict, never as a pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tfm_harness.plugin import collecting, console_items, entry, pool, session

from tests.plugin.conftest import Project
from tests.plugin.saboteur import HOOKS

SUITE = """
def test_one(device): device.describe()
def test_two(device): raise ValueError("the test's own")
"""
ONLY_XDIST = {
    "CollectingPlugin.pytest_xdist_node_collection_finished",
    "HarnessPlugin.pytest_report_to_serializable",
    "HarnessPlugin.pytest_report_from_serializable",
    "HarnessPlugin.pytest_testnodedown",
    "entry.pytest_testnodedown",
    "PoolPlugin.pytest_xdist_make_scheduler",
    "PoolPlugin.pytest_xdist_setupnodes",
    "PoolPlugin.pytest_configure_node",
}
"""Not called in a session of one process."""
OTHERWISE = {
    "CollectingPlugin.pytest_deselected": ("-k", "one"),
    "HarnessPlugin.pytest_internalerror": (),
    "HarnessPlugin.pytest_exception_interact": (),
    "HarnessPlugin.pytest_keyboard_interrupt": (),
    "HarnessPlugin.pytest_harness_progress": (),
}
"""What calls the others; no options: this session does not call it."""
RUN = [hook for hook in HOOKS if hook not in ONLY_XDIST and OTHERWISE.get(hook, ("",)) != ()]
"""The hooks that a session of one process calls."""
WORKERS = [
    "CollectingPlugin.pytest_generate_tests",
    "HarnessPlugin.pytest_runtest_call",
    "HarnessPlugin.pytest_runtest_makereport",
    "HarnessPlugin.pytest_report_to_serializable",
]


def test_every_hook_is_known_here() -> None:
    named = set()
    for module in (collecting, console_items, entry, pool, session):
        text = Path(str(module.__file__)).read_text()
        named |= set(re.findall(r"def (pytest_\w+)\(", text))
    assert named == {hook.split(".")[1] for hook in HOOKS}
    assert set(HOOKS) >= ONLY_XDIST | set(OTHERWISE)


@pytest.mark.parametrize("hook", RUN)
def test_a_bug_in_a_hook(project: Project, monkeypatch: pytest.MonkeyPatch, hook: str) -> None:
    monkeypatch.setenv("SABOTAGE", hook)
    project.test("def test_one(device): device.describe()\ndef test_two(device): device.describe()\n")
    result = project.run("-p", "tests.plugin.saboteur", *OTHERWISE.get(hook, ()))
    assert "LookupError: sabotage" in result.stdout.str() + result.stderr.str()
    assert result.ret == 3
    assert "verdict: Passed" not in result.stdout.str() or hook.endswith("pytest_unconfigure")


@pytest.mark.parametrize("hook", WORKERS)
def test_a_bug_in_a_hook_of_a_test_process(project: Project, monkeypatch: pytest.MonkeyPatch, hook: str) -> None:
    monkeypatch.setenv("SABOTAGE", hook)
    project.test("def test_one(device): device.describe()\n")
    result = project.run("-p", "tests.plugin.saboteur", "-n1")
    assert "sabotage" in result.stdout.str() + result.stderr.str()
    assert result.ret == 3


def test_what_a_test_raises_stays_the_tests(project: Project) -> None:
    project.test(SUITE)
    result = project.run()
    assert result.ret == 4
    result.stdout.fnmatch_lines(["verdict: Test wrong"])
    assert "bug of the harness" not in result.stdout.str()


def test_a_long_failure_without_a_board_does_not_end_the_session(project: Project) -> None:
    """It left no room on the screen for consoles, and there were none."""
    project.append_conftest(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_setup(item):\n"
        "    if 'one' in item.name: raise RuntimeError('\\n'.join(map(str, range(200))))\n"
    )
    project.test("def test_one(device): device.describe()\ndef test_two(device): device.describe()\n")
    result = project.run()
    assert "INTERNALERROR" not in result.stdout.str()
    result.assert_outcomes(errors=1, passed=1)
