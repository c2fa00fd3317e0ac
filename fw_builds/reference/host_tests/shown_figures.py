"""Figures that tests show at the end of a run: a conftest imports `show_figure` and `pytest_terminal_summary`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

__all__ = ["ShowFigure", "pytest_terminal_summary", "show_figure"]

ShowFigure = Callable[[str], None]

_LINES = pytest.StashKey[list[str]]()


@pytest.fixture
def show_figure(request: pytest.FixtureRequest) -> ShowFigure:
    """Call it with a line for the end of the run."""
    return request.config.stash.setdefault(_LINES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The lines."""
    lines = config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("tried")
    for line in lines:
        terminalreporter.write_line(line)
