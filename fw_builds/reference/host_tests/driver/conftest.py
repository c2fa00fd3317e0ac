"""Builds the C tests once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "qemu"), str(HERE.parent), str(HERE.parents[1] / "tools")]  # what the tests are made of

from shown_figures import pytest_terminal_summary, show_figure  # noqa: E402, F401  # found through the line above; pytest's


@pytest.fixture(scope="session")
def build() -> Path:
    """The folder of the compiled tests."""
    subprocess.run(["make", "-s", "all"], cwd=HERE, check=True)
    return HERE / "build"
