"""Builds the C tests once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "qemu"), str(HERE.parents[1] / "tools")]  # what the tests in QEMU are made of


@pytest.fixture(scope="session")
def build() -> Path:
    """The folder of the compiled tests."""
    subprocess.run(["make", "-s", "all"], cwd=HERE, check=True)
    return HERE / "build"
