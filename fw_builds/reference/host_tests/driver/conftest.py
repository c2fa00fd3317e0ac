"""Builds the C tests once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def build() -> Path:
    """The folder of the compiled tests."""
    subprocess.run(["make", "-s", "all"], cwd=HERE, check=True)
    return HERE / "build"
