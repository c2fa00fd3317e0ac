"""Builds the C drivers once and prints the parity counts at the end of the run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "models")]  # pytest's importlib mode adds nothing

from engines import ParityRows, close_engines, reference  # noqa: E402  (found by the line above)

_ROWS = pytest.StashKey[ParityRows]()


def pytest_configure(config: pytest.Config) -> None:
    """An empty table."""
    config.addinivalue_line("markers", "qemu: needs QEMU and the cross compiler")
    config.stash[_ROWS] = []


@pytest.fixture(scope="session", autouse=True)
def _drivers() -> Iterator[None]:
    """Compile what is out of date; end both interpreters afterwards."""
    subprocess.run(["make", "-s", "all"], cwd=HERE, check=True)
    yield
    reference.close()
    close_engines()


@pytest.fixture
def parity_row(request: pytest.FixtureRequest) -> ParityRows:
    """Append (what, inputs, exact outputs, distinct outputs) to show it in the summary."""
    return request.config.stash[_ROWS]


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A path for a generated model."""
    return tmp_path / "model.tflite"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands its rows on."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["parity_rows"] = session.config.stash[_ROWS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The rows of a worker that has ended."""
    rows = getattr(node, "workeroutput", {}).get("parity_rows", [])
    node.config.stash[_ROWS].extend(tuple(row) for row in rows)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of parity counts."""
    rows = config.stash[_ROWS]
    if not rows:
        return
    terminalreporter.section("bit-exactness against tflite-runtime 2.14 BUILTIN_REF")
    terminalreporter.write_line(f"{'model':<36} {'inputs':>8} {'exact':>8} {'distinct':>8}")
    for what, inputs, exact, distinct in sorted(rows):
        terminalreporter.write_line(f"{what:<36} {inputs:>8} {exact:>8} {distinct:>8}")
