"""Probe boards whose workers are forked: each operation of a new interpreter spends most of its time importing pyOCD.

What is about the worker's process itself (its start, its end, what it leaves) has new interpreters.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tfm_harness.boards.probe import board as probe_board
from tfm_harness.boards.supervisor import Child, spawn
from tfm_harness.testing.simulators.probe_board import entry_point_folder

from tests.boards.forking import forking, worker_words

__all__ = ["probe_server", "warm_probe"]

_HERE = Path(__file__).resolve().parent
_WORKER = ["-m", "tfm_harness.boards.probe.worker"]
_LOADED = ("pyocd.core.helpers", "pyocd.core.session", "pyocd.flash.file_programmer")


@pytest.fixture(scope="session")
def probe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of what forks."""
    folder = tmp_path_factory.mktemp("warm-probe")
    path = os.pathsep.join([str(entry_point_folder(folder)), str(_HERE.parents[1])])
    with forking(sys.executable, folder, [_WORKER[1], *_LOADED], {**os.environ, "PYTHONPATH": path}) as found:
        yield found


@pytest.fixture
def warm_probe(probe_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of this test's probe boards are forked."""

    def warm(words: Sequence[str], *, stderr_path: Path, env: dict[str, str]) -> Child:
        assert list(words[1:3]) == _WORKER
        return spawn([*worker_words(probe_server), *words[3:]], stderr_path=stderr_path, env=env)

    monkeypatch.setattr(probe_board, "spawn", warm)
