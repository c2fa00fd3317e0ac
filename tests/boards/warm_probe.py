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
from tfm_harness.boards.supervisor import Child, spawn, wait_until
from tfm_harness.testing.simulators.probe_board import entry_point_folder

__all__ = ["probe_server", "warm_probe"]

_HERE = Path(__file__).resolve().parent
_WORKER = ["-m", "tfm_harness.boards.probe.worker"]


@pytest.fixture(scope="session")
def probe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of what forks."""
    folder = tmp_path_factory.mktemp("warm-probe")
    path = os.pathsep.join([str(entry_point_folder(folder)), str(_HERE.parents[1])])
    environment = {**os.environ, "PYTHONPATH": path}
    words = [sys.executable, str(_HERE / "warm_probe_server.py"), str(folder / "socket")]
    server = spawn(words, stderr_path=folder / "log", env=environment)
    try:
        assert wait_until(lambda: (folder / "socket").exists() or server.poll() is not None, 60)
        assert server.poll() is None, server.last_words()
        yield folder / "socket"
    finally:
        server.kill()


@pytest.fixture
def warm_probe(probe_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of this test's probe boards are forked."""

    def warm(words: Sequence[str], *, stderr_path: Path, env: dict[str, str]) -> Child:
        assert list(words[1:3]) == _WORKER
        relay = [sys.executable, "-S", "-E", str(_HERE / "warm_probe_relay.py"), str(probe_server)]
        return spawn([*relay, *words[3:]], stderr_path=stderr_path, env=env)

    monkeypatch.setattr(probe_board, "spawn", warm)
