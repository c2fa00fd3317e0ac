"""The firmware in QEMU, from outside: virtual boards with any image, OTP and history."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(REFERENCE / "tools"), str(REFERENCE / "host_tests" / "spe")]

from lab import Lab  # noqa: E402  # found through the line above
from shown_figures import pytest_terminal_summary, show_figure  # noqa: E402, F401  # for pytest


@pytest.fixture(scope="session")
def images() -> Path:
    """The images under test: out/, or what REFERENCE_IMAGES names."""
    folder = Path(os.environ.get("REFERENCE_IMAGES", REFERENCE / "out"))
    if not (folder / "secure.elf").exists():
        pytest.fail(f"no images in {folder}: run make -C {REFERENCE}", pytrace=False)
    return folder


@pytest.fixture
def lab(images: Path, tmp_path: Path) -> Lab:
    """A bench for one test's boards, all of them with one identity."""
    return Lab(images, tmp_path)
