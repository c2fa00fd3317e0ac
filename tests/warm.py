"""Runs of pytest in processes of their own that need not import it first.

A short session with the plugin spends most of its time on imports. Tests that look at what a session prints, records
and ends with lose nothing when a process that has imported all of it is forked for them: the child has its own folder,
umask, environment, search path, streams, arguments and signals. What is about the start itself has a new interpreter.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

__all__ = ["WarmServer", "run_in", "run_pytest"]

_SERVER: Final = Path(__file__).with_name("warm_server.py")
_FOREVER: Final = 600.0


class WarmServer:
    """The process that forks; started at the first use, ends with this process.

    Args:
        environment: its own; what `/proc` shows of each process that it forks (default: this process's).
        modules: imported beside those that every short session imports.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, modules: Sequence[str] = ()) -> None:
        self._modules = modules
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None

    def _connect(self) -> socket.socket:
        if self._link is None:
            self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, str(_SERVER), str(theirs.fileno()), *self._modules],
                    pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    env=self._environment,
                )  # fmt: skip
        return self._link

    @property
    def pid(self) -> int | None:
        """The process that forks, once it has been started."""
        return self._process.pid if self._process else None

    def start(
        self, words: list[str], folder: Path, out: int, err: int, environment: dict[str, str], program: str = "pytest"
    ) -> int:
        """A run of pytest (or ``tfm-harness``) in `folder`; its process. One at a time: `wait` before the next."""
        link = self._connect()
        os.umask(mask := os.umask(0))
        request = {"program": program, "words": words, "folder": str(folder), "environment": environment, "umask": mask}
        link.settimeout(_FOREVER)
        socket.send_fds(link, [json.dumps(request).encode()], [out, err])
        return self._number(link)

    def wait(self, limit: float = _FOREVER) -> int:
        """Its exit status; negative, the signal that ended it.

        Raises:
            TimeoutError: it has not ended within `limit` seconds.
        """
        link = self._connect()
        link.settimeout(max(limit, 0.001))
        return self._number(link)

    def run(
        self,
        words: list[str],
        out: int,
        err: int,
        environment: dict[str, str],
        limit: float,
        folder: Path | None = None,
        program: str = "pytest",
    ) -> int | None:
        """The exit status as `wait` gives it, run in `folder` (default: this one); None after `limit` seconds."""
        pid = self.start(words, folder or Path.cwd(), out, err, environment, program)
        with contextlib.suppress(TimeoutError):
            return self.wait(limit)
        os.kill(pid, signal.SIGKILL)
        self.wait()
        return None

    def _number(self, link: socket.socket) -> int:
        """What the server says next."""
        said = link.recv(64)
        if not said:
            self.stop()
            raise RuntimeError("tests/warm_server.py has ended; standard error has its reason")
        return int(said)

    def stop(self) -> None:
        """End it."""
        if self._link is not None and self._process is not None:
            self._link.close()
            self._process.wait()
            self._link = self._process = None


_server = WarmServer()


def run_pytest(pytester: pytest.Pytester, *words: str, timeout: float = 180.0) -> pytest.RunResult:
    """As ``pytester.runpytest_subprocess``, without Hypothesis, which would only be imported at the run's end."""
    base = next(path for n in range(1000) if not (path := pytester.path / f"runpytest-{n}").exists())
    command = [f"--basetemp={base}", "-p", "no:hypothesispytest", "-p", "no:anyio", *words]
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), environment.get("PYTHONPATH")]))
    out, err = pytester.path / "stdout", pytester.path / "stderr"
    began = time.monotonic()
    with out.open("wb") as out_file, err.open("wb") as err_file:
        status = _server.run(command, out_file.fileno(), err_file.fileno(), environment, timeout)
    said = [path.read_text("utf-8", errors="surrogateescape").splitlines() for path in (out, err)]
    sys.stdout.write("\n".join([f"pytest {command}", *said[0], *said[1], ""]))  # shown where the test fails
    if status is None:
        raise pytester.TimeoutExpired(f"pytest did not end within {timeout} s: {command}")
    code = pytest.ExitCode(status) if status in set(map(int, pytest.ExitCode)) else status
    return pytest.RunResult(code, said[0], said[1], time.monotonic() - began)


def run_in(
    folder: Path, words: list[str], environment: Mapping[str, str], timeout: float = 180.0, program: str = "pytest"
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` of ``python -m pytest`` (or ``tfm-harness``) with these words in `folder`.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        status = _server.run(words, out.fileno(), err.fileno(), dict(environment), timeout, folder, program)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode("utf-8", errors="replace"))
    if status is None:
        raise subprocess.TimeoutExpired([program, *words], timeout, *said)
    return subprocess.CompletedProcess([program, *words], status, *said)


def stop() -> None:
    """End what `run_pytest` and `run_in` have started."""
    _server.stop()
