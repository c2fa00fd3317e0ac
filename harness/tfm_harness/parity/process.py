"""The harness's end of a worker process: starts it, talks to it, and finds out how it died."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import InfrastructureError
from tfm_harness.processes import PIPE, end_group, start

__all__ = ["EngineRefusal", "WorkerProcess"]

_WORKER = Path(__file__).with_name("worker.py")
_GRACE = 2.0  # seconds for the worker's own alarm, before it is killed from here
_CHUNK = 1 << 16


class EngineRefusal(Exception):  # noqa: N818 - not an error of the harness: the interpreter said no, in order
    """The interpreter raised an exception, but its process lives on."""


class WorkerProcess:
    """One worker; not thread safe, restarted by its owner after any `InfrastructureError`.

    Args:
        engine: a name `worker.py` knows.
        python: interpreter to run it with.
        memory: address space in bytes the worker may have.
        adapter: of an engine from a package: ``module:Class`` (see `tfm_harness.parity.adapter.EngineAdapter`).
        folder: where that package is installed, when it is not among the interpreter's own packages.
    """

    def __init__(
        self,
        engine: str,
        *,
        python: str = sys.executable,
        memory: int = 4 << 30,
        adapter: str = "",
        folder: str = "",
    ) -> None:
        self.engine = engine
        # -I keeps PYTHONPATH and the current directory out; -X faulthandler names the C call on a crash.
        command = [python, "-I", "-X", "faulthandler", str(_WORKER), engine, str(memory), str(os.getpid())]
        command += [adapter, folder] if adapter else []
        env = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH"}}
        env |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = start(command, stdin=PIPE, stdout=PIPE, stderr=self._stderr, env=env)
        except (OSError, InfrastructureError) as exc:
            self._stderr.close()
            raise InfrastructureError(
                f"reference engine {engine} cannot be started",
                kind="engine-start",
                expected=f"a Python interpreter at {python}",
                seen=str(exc),
            ) from exc
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def request(
        self, header: Mapping[str, Any], blobs: Sequence[bytes], *, what: str, limit: float
    ) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        """Send one request and wait for its answer.

        Args:
            what: the model's name, for errors.
            limit: seconds the worker may compute.

        Raises:
            EngineRefusal: the interpreter raised; the worker lives.
            InfrastructureError: kind ``engine-crash``, ``engine-timeout`` or ``engine-protocol``; the worker is gone.
        """
        text = json.dumps({**header, "limit": limit}).encode()
        deadline = time.monotonic() + limit + _GRACE
        try:
            self._write(struct.pack("<I", len(text)) + text + b"".join(blobs), deadline)
            (size,) = struct.unpack("<I", self._read(4, deadline))
            answer = json.loads(self._read(size, deadline))
            arrays = [
                np.frombuffer(self._read(int(a["bytes"]), deadline), dtype=a["dtype"]).reshape(a["shape"])
                for a in answer["arrays"]
            ]
        except TimeoutError:
            self.close()
            raise self._timeout(what, limit) from None
        except (EOFError, BrokenPipeError):
            raise self._died(what, limit) from None
        except (ValueError, KeyError, TypeError) as exc:
            self.close()
            raise InfrastructureError(
                f"reference engine {self.engine} sent nonsense while running {what}",
                kind="engine-protocol",
                seen=f"{type(exc).__name__}: {exc}",
                where=self.last_words(),
            ) from exc
        if "error" in answer:
            raise EngineRefusal(f"{answer['error']}: {answer.get('text', '')}".strip())
        return answer, arrays

    def close(self) -> None:
        """End the worker now. Safe to call twice."""
        end_group(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def forget(self) -> None:
        """Close, and delete the file with the worker's stderr."""
        self.close()
        self._stderr.close()

    def _write(self, data: bytes, deadline: float) -> None:
        assert self._process.stdin is not None  # noqa: S101 - Popen was asked for a pipe
        fd, view = self._process.stdin.fileno(), memoryview(data)
        while view:
            self._wait([], [fd], deadline)
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(fd, view[:_CHUNK]) :]

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
        fd, parts, missing = self._process.stdout.fileno(), bytearray(), size
        while missing:
            self._wait([fd], [], deadline)
            try:
                part = os.read(fd, min(missing, _CHUNK))
            except BlockingIOError:
                continue
            if not part:
                raise EOFError
            parts += part
            missing -= len(part)
        return bytes(parts)

    @staticmethod
    def _wait(read: list[int], write: list[int], deadline: float) -> None:
        poll = select.poll()
        for fd in read:
            poll.register(fd, select.POLLIN)
        for fd in write:
            poll.register(fd, select.POLLOUT)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError

    def _died(self, what: str, limit: float) -> InfrastructureError:
        try:
            code = self._process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            code = 0
        self.close()
        if code == -signal.SIGALRM:
            return self._timeout(what, limit)
        reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return InfrastructureError(
            f"reference engine {self.engine} crashed on {what}",
            kind="engine-crash",
            expected="outputs",
            seen=f"the worker process ended with {reason}",
            where=self.last_words(),
            hint="the interpreter cannot run this model; nothing was learnt about the device",
        )

    def _timeout(self, what: str, limit: float) -> InfrastructureError:
        return InfrastructureError(
            f"reference engine {self.engine} did not finish {what}",
            kind="engine-timeout",
            expected=f"an answer within {limit:g} s",
            seen="still computing; the worker was ended",
            where=self.last_words(),
            hint="give the engine more time (time_limit), or fewer vectors in one call",
        )

    def last_words(self) -> str:
        """The last text that the interpreter wrote to its standard error."""
        if self._stderr.closed:
            return ""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 2000))
        return self._stderr.read().decode("utf-8", "replace").strip()
