"""The two interpreters that the tests compare: tflite-runtime's reference kernels and the C engine."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from tflite_patch import operator_outputs, with_output

__all__ = [
    "ARENA",
    "BUILD",
    "HERE",
    "MODELS",
    "STATUS",
    "Int8",
    "ParityRows",
    "Refused",
    "close_engines",
    "engine_describe",
    "engine_run",
    "reference",
]

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
MODELS = HERE.parent.parent / "models"
ARENA = 128 * 1024
"""The arena of the reference firmware, bytes."""

Int8 = npt.NDArray[np.int8]
ParityRows = list[tuple[str, int, int, int]]
"""What was compared, inputs, exact outputs, distinct outputs."""

STATUS = ("OK", "FORMAT", "UNSUPPORTED_OP", "UNSUPPORTED_TYPE", "SHAPE", "QUANT", "ARENA", "ARG")


class Refused(Exception):  # noqa: N818  (an answer, not an error)
    """An interpreter did not take the model; `status` says why."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class _Reference:
    """A worker process with the reference kernels; started again after a crash."""

    limit_seconds: float = 120.0
    process: subprocess.Popen[bytes] | None = None
    answers: dict[bytes, Int8] = field(default_factory=dict)  # by digest of the question: several tests ask the same

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def trace(self, model: bytes, inputs: Int8) -> Int8:
        """The outputs of all operators back to back, one row for each row of `inputs`."""
        return np.concatenate([self.run(with_output(model, t), inputs) for t in operator_outputs(model)], axis=1)

    def run(self, model: bytes, inputs: Int8) -> Int8:
        """Outputs, one row for each row of `inputs`.

        Raises:
            Refused: the interpreter refused the model, crashed on it, or took too long.
        """
        asked = hashlib.sha256(struct.pack("<II", *inputs.shape) + model + inputs.tobytes()).digest()
        if asked not in self.answers:
            self.answers[asked] = self._run(model, inputs)
        return self.answers[asked]

    def _run(self, model: bytes, inputs: Int8) -> Int8:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "reference_worker.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        if pipe_in is None or pipe_out is None:
            raise RuntimeError("the worker was started without pipes")
        guard = threading.Timer(self.limit_seconds, self.process.kill)
        guard.start()
        try:
            head = struct.pack("<III", len(model), inputs.shape[0], inputs.shape[1])
            pipe_in.write(head + model + inputs.tobytes())
            pipe_in.flush()
            status, length = struct.unpack("<II", pipe_out.read(8))
            if status != 0:
                raise Refused(pipe_out.read(length).decode(errors="replace"))
            data = pipe_out.read(length * inputs.shape[0])
        except (OSError, struct.error) as error:
            self.close()
            raise Refused("the reference interpreter crashed or ran out of time") from error
        finally:
            guard.cancel()
        return np.frombuffer(data, dtype=np.int8).reshape(inputs.shape[0], length)


reference = _Reference()


class _Engine:
    """``nn_run serve``: forks for each call, as the start of a process with sanitizers takes longer than most calls."""

    def __init__(self, program: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="nn-run-")
        self.files = [Path(self.folder.name) / name for name in ("in", "out", "err")]
        self.process = subprocess.Popen(
            [str(BUILD / program), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def call(self, model: Path, arena: int, inputs: bytes, mode: str) -> tuple[int, bytes, bytes]:
        """Exit code (negative: the signal), standard output and error."""
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        if pipe_in is None or pipe_out is None:
            raise RuntimeError("the engine was started without pipes")
        self.files[0].write_bytes(inputs)
        guard = threading.Timer(300, self.process.kill)
        guard.start()
        try:
            pipe_in.write("\t".join([str(model), str(arena), mode, *map(str, self.files)]) + "\n")
            pipe_in.flush()
            said = pipe_out.readline()
        finally:
            guard.cancel()
        if not said:
            raise AssertionError(f"{self.process.args!r} has ended")
        return int(said), self.files[1].read_bytes(), self.files[2].read_bytes()

    def close(self) -> None:
        """End it."""
        self.process.communicate()
        self.folder.cleanup()


_engines: dict[str, _Engine] = {}


def close_engines() -> None:
    """End what `engine_run` and `engine_describe` have started."""
    while _engines:
        _engines.popitem()[1].close()


def _call(model: Path, arena: int, inputs: bytes, mode: str, program: str) -> bytes:
    if program not in _engines:
        _engines[program] = _Engine(program)
    code, out, err = _engines[program].call(model, arena, inputs, mode)
    if 10 < code < 10 + len(STATUS):
        raise Refused(STATUS[code - 10])
    if code != 0:
        raise AssertionError(f"{program} ended with {code}: {err.decode(errors='replace')}")
    return out


def engine_run(model: Path, inputs: Int8, *, trace: bool = False, arena: int = ARENA, program: str = "nn_run") -> Int8:
    """The C engine's outputs, one row for each row of `inputs`; with `trace`, of all operators back to back.

    Raises:
        Refused: the engine refused the model.
    """
    data = _call(model, arena, inputs.tobytes(), "trace" if trace else "", program)
    return np.frombuffer(data, dtype=np.int8).reshape(inputs.shape[0], -1)


def engine_describe(model: Path, *, arena: int = ARENA, program: str = "nn_run") -> dict[str, Any]:
    """What the C engine says about the model: input, output, operators, arena bytes, work."""
    described: dict[str, Any] = json.loads(_call(model, arena, b"", "describe", program))
    return described
