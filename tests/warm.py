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
import time
from pathlib import Path
from typing import Final

import pytest

__all__ = ["run_pytest"]

_SERVER: Final = Path(__file__).with_name("warm_server.py")
_FOREVER: Final = 600.0


class _Server:
    """The process that forks; started at the first use, ends with this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None

    def _connect(self) -> socket.socket:
        if self._link is None:
            self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, str(_SERVER), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                )  # fmt: skip
        return self._link

    def run(self, words: list[str], out: int, err: int, environment: dict[str, str], limit: float) -> int | None:
        """Pytest's exit status; negative, the signal that ended it; None when it did not end within `limit` seconds."""
        link = self._connect()
        os.umask(mask := os.umask(0))
        request = {"words": words, "folder": str(Path.cwd()), "environment": environment, "umask": mask}
        link.settimeout(_FOREVER)
        socket.send_fds(link, [json.dumps(request).encode()], [out, err])
        pid = self._number(link)
        with contextlib.suppress(TimeoutError):
            link.settimeout(limit)
            return self._number(link)
        os.kill(pid, signal.SIGKILL)
        link.settimeout(_FOREVER)
        self._number(link)
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


_server = _Server()


def run_pytest(pytester: pytest.Pytester, *words: str, timeout: float = 180.0) -> pytest.RunResult:
    """As ``pytester.runpytest_subprocess``, without Hypothesis, which would only be imported at the run's end."""
    base = next(path for n in range(1000) if not (path := pytester.path / f"runpytest-{n}").exists())
    command = [f"--basetemp={base}", "-p", "no:hypothesispytest", *words]
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


def stop() -> None:
    """End what `run_pytest` has started."""
    _server.stop()
