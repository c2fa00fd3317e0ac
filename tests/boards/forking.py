"""Workers of boards that are forked: most of the time of a new interpreter goes into importing what a worker needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfm_harness.boards.supervisor import spawn, wait_until

__all__ = ["forking", "worker_words"]

_HERE = Path(__file__).resolve().parent


@contextmanager
def forking(
    python: str, folder: Path, worker_and_modules: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Path]:
    """The socket of a process of `python` that forks the worker (see `forking_server.py`), until the end."""
    path = folder / "socket"
    words = [python, str(_HERE / "forking_server.py"), str(path), *worker_and_modules]
    server = spawn(words, stderr_path=folder / "log", env=environment)
    try:
        assert wait_until(lambda: path.exists() or server.poll() is not None, 60)
        assert server.poll() is None, server.last_words()
        yield path
    finally:
        server.kill()


def worker_words(path: Path) -> list[str]:
    """What is started in place of the worker; its arguments follow."""
    return [sys.executable, "-S", "-E", str(_HERE / "forked_worker.py"), str(path)]
