"""Hooks of the plugin, for users' conftest.py and plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tfm_harness.errors import HarnessError
    from tfm_harness.plugin.bench import Bench

__all__ = ["pytest_harness_board_lost", "pytest_harness_board_ready", "pytest_harness_progress"]


@pytest.hookspec
def pytest_harness_board_ready(bench: Bench) -> None:
    """A board is flashed, has booted, and has proved that it runs the build just flashed.

    Called once for each combination of target and build, before its first test.
    """


@pytest.hookspec
def pytest_harness_progress(bench: Bench, what: str, done: int, total: int) -> None:
    """Long work on a board goes on: `done` of `total` pieces of `what` (``parity tamper, vectors``).

    Called often, with `done` 0 first and `total` last.
    """


@pytest.hookspec
def pytest_harness_board_lost(bench: Bench, error: HarnessError) -> None:
    """A board does not answer any more and could not be brought back.

    Called once; the combination's remaining tests are errors that name `error`.
    """
