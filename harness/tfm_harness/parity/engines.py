"""Reference engines behind one interface, each in a separate process.

Which engine may be the oracle was measured: tflite-runtime 2.14 with ``BUILTIN_REF`` equals TFLM bit for
bit on int8 and int16 models; ai-edge-litert does so up to 1.2.0 and not from 1.3.0 on (int8 and int16
fully connected). An engine must pass a self-test with stored vectors before it may judge anything.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from tfm_harness.beside import beside
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.extensions import find, names
from tfm_harness.parity.arrays import Arrays, check_inputs, join
from tfm_harness.parity.engine_names import DEFAULT_ENGINES, INSTALL
from tfm_harness.parity.engine_record import EngineRecord
from tfm_harness.parity.installed import FIRST_UNFIT, unfit
from tfm_harness.parity.model_info import ModelInfo
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.model_rewriting import expose_tensors
from tfm_harness.parity.process import EngineRefusal, WorkerProcess

__all__ = ["ReferenceEngine", "State"]


State: TypeAlias = Literal["per-vector", "sequence"]
"""The state that a stateful model keeps from one vector to the next: none, or all of it within a sequence."""

_VECTORS_AT_A_TIME = 64
_BYTES_AT_A_TIME = 64 << 20


class ReferenceEngine:
    """An interpreter in a subprocess. Use as a context manager, or call `close`.

    Args:
        name: one of `DEFAULT_ENGINES`, or one that a package adds in the entry-point group ``tfm_harness.engines``.
        python: interpreter that has the engine's package (default: this one).
        time_limit: seconds that loading a model, or running 64 vectors at most, may take.
        memory_limit: address space of the worker in bytes.
        self_test: test the engine with stored vectors before its first use.

    Raises:
        ConfigError: kind ``engine-unknown``.
        ExtensionError: two packages add this engine, or its package is for another version.
        InfrastructureError: kind ``engine-missing`` (package not importable), ``engine-refused`` (self-test failed),
            ``engine-start``.
    """

    built_in: ClassVar[tuple[str, ...]] = DEFAULT_ENGINES
    """Names of engines that need no entry point of a package."""

    rounding: ClassVar[float] = 0.0
    """The allowed difference of intermediate floats of two of these engines, as a share of the tensor's largest one."""

    def __init__(
        self,
        name: str,
        *,
        python: str = sys.executable,
        time_limit: float = 60.0,
        memory_limit: int = 4 << 30,
        self_test: bool = True,
    ) -> None:
        self._extension = find("engines", name)
        if name not in self.built_in and self_test and self._extension is None:
            raise ConfigError(
                f"no reference engine is called {name!r}",
                kind="engine-unknown",
                expected=", ".join(names("engines", DEFAULT_ENGINES)),
                seen=name,
            )
        self.name = name
        self.python = python
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self._worker: WorkerProcess | None = None
        self._loaded = ""
        self._infos: dict[str, ModelInfo] = {}
        self._pid = os.getpid()
        self._record: EngineRecord | None = None
        self.partial = False  # whether the engine declares that it runs only some kinds of models
        _ALL.add(self)
        try:
            self._connect()
            if self_test:
                self._prove()
        except BaseException:
            self.close()
            raise

    @property
    def record(self) -> EngineRecord:
        """Name, version, resolver and threads of the engine."""
        if self._record is None:
            self._connect()
        assert self._record is not None  # noqa: S101 - _connect sets it or raises
        return self._record

    def run(
        self,
        model: bytes,
        inputs: Sequence[npt.ArrayLike] | npt.ArrayLike,
        *,
        name: str = "model",
        state: State | None = None,
        fresh: bool = True,
    ) -> Arrays:
        """Run `model` on n vectors.

        Args:
            model: the .tflite file's bytes.
            inputs: one array for each input tensor, each (n, *shape); a single array stands for the only input.
            name: the model's name in errors.
            state: for a stateful model: ``per-vector`` (also the default) resets before each vector, ``sequence``
                keeps the state from one vector to the next.
            fresh: for ``sequence``: reset before the first vector; False continues from the last call.

        Returns:
            One array for each output tensor, each (n, *shape).

        Raises:
            ConfigError: the model cannot be parsed or has dynamic shapes; inputs of wrong count, shape or type.
            InfrastructureError: the interpreter crashed, hung or refused, with the model's name.
        """
        info = self.info(model, name)
        arrays = check_inputs(info, inputs)
        if len(arrays[0]) == 0:
            return join([], info.outputs)
        self._load(model, info)
        # Run in parts, so that the time limit and the size of a frame suffice for any number of vectors.
        each = max(info.input_bytes, info.output_bytes, 1)
        size = max(1, min(_VECTORS_AT_A_TIME, _BYTES_AT_A_TIME // each))
        parts: list[Arrays] = []
        for at in range(0, len(arrays[0]), size):
            part = [a[at : at + size] for a in arrays]
            reset = "never"
            if info.stateful and state != "sequence":
                reset = "vector"
            elif info.stateful and fresh and at == 0:
                reset = "start"
            outputs = self._compute(info, part, reset)
            self._check_outputs(info, outputs, [((len(part[0]), *t.shape), t.dtype) for t in info.outputs])
            parts.append(outputs)
        return join(parts, info.outputs)

    def computing(
        self,
        model: bytes,
        inputs: Sequence[npt.ArrayLike] | npt.ArrayLike,
        *,
        name: str = "model",
        state: State | None = None,
        fresh: bool = True,
    ) -> contextlib.AbstractContextManager[Future[Arrays]]:
        """As `run`, while the block does something else; what it gives or raises is the future's result.

        The engine must not be used in the block otherwise. The computation has ended when the block is left.
        """
        return beside(partial(self.run, model, inputs, name=name, state=state, fresh=fresh))

    def tensors(
        self,
        model: bytes,
        inputs: Sequence[npt.ArrayLike] | npt.ArrayLike,
        indices: Sequence[int],
        *,
        name: str = "model",
        before: Sequence[npt.NDArray[Any]] | None = None,
    ) -> Arrays:
        """Run one vector and return the tensors numbered `indices`, intermediate ones included.

        Args:
            inputs: as for `run`, with n = 1.
            before: for a stateful model in a sequence: the vectors before this one, each (m, *shape).
        """
        exposed = expose_tensors(model, indices)
        arrays = check_inputs(self.info(exposed, name), inputs)
        if len(arrays[0]) != 1:
            raise ValueError(f"tensors() takes one vector, got {len(arrays[0])}")
        count = len(before[0]) if before else 0
        for at in range(0, count, _VECTORS_AT_A_TIME):
            self.run(exposed, [a[at : at + _VECTORS_AT_A_TIME] for a in before or ()], name=name, state="sequence",
                     fresh=at == 0)  # fmt: skip
        outputs = self.run(exposed, arrays, name=name, state="sequence" if count else None, fresh=not count)
        return [output[0] for output in outputs]

    def edges(
        self, model: bytes, inputs: Sequence[npt.ArrayLike] | npt.ArrayLike, *, name: str = "model"
    ) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
        """The edges of the arithmetic that each vector reaches; only ``numpy-reference`` measures them.

        Returns:
            The edges' names; (n, operators, edges): 1 reached, 0 not, 2 the operator has no such edge.
        """
        info = self.info(model, name)
        arrays = check_inputs(info, inputs)
        self._load(model, info)
        answer, (found,) = self._ask({"op": "edges", "sha": info.sha256}, arrays, name)
        return tuple(answer["names"]), found

    def info(self, model: bytes, name: str = "model") -> ModelInfo:
        """The parsed model; it is cached."""
        key = sha256(model).hexdigest()
        if key not in self._infos:
            if len(self._infos) >= 64:
                self._infos.pop(next(iter(self._infos)))
            self._infos[key] = self._parse(model, name)
        return self._infos[key]

    def close(self) -> None:
        """End the worker. Safe to call twice; the next call starts a new one."""
        worker, self._worker, self._loaded = self._worker, None, ""
        if worker is not None and self._pid == os.getpid():
            worker.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> WorkerProcess:
        if self._worker is not None and self._pid == os.getpid():
            return self._worker
        self._pid = os.getpid()
        added = self._extension
        worker = WorkerProcess(
            self.name,
            python=self.python,
            memory=self.memory_limit,
            adapter=added.value if added else "",
            folder=str(added.root) if added and added.root and self.python == sys.executable else "",
        )
        self._worker, self._loaded = worker, ""
        try:
            answer, _ = worker.request({"op": "hello"}, [], what="its start", limit=self.time_limit)
        except EngineRefusal as exc:
            self.close()
            raise InfrastructureError(
                f"reference engine {self.name} is not usable",
                kind="engine-missing",
                expected=f"an importable {self.name} package",
                seen=str(exc),
                where=self.python,
                hint=f"it comes from {added}"
                if added
                else INSTALL.get(self.name, f"install {self.name} for that Python"),
            ) from exc
        except InfrastructureError:
            self.close()
            raise
        self._record = EngineRecord(**answer["record"])
        self.partial = bool(answer.get("partial"))
        return worker

    def _prove(self) -> None:
        self._refuse_version()
        from tfm_harness.parity.selftest import prove

        prove(self)

    def _refuse_version(self) -> None:
        """Refuse a version that is known to differ, with a better error than the self-test would give."""
        if unfit(self.record.name, self.record.version):
            limit = ".".join(map(str, FIRST_UNFIT[self.record.name]))
            raise InfrastructureError(
                f"reference engine {self.record} is no oracle",
                kind="engine-refused",
                expected=f"{self.record.name} before {limit}",
                seen=f"version {self.record.version}, whose fully connected kernels give other numbers than TFLM's",
                where=self.python,
                hint="leave `engine` out: another reference is used; or install ai-edge-litert==1.2.0",
            )

    def _parse(self, model: bytes, name: str) -> ModelInfo:
        return parse_model(model, name=name)

    def _compute(self, info: ModelInfo, arrays: Arrays, reset: str) -> Arrays:
        """The loaded model's outputs for some vectors; `reset` as for the worker."""
        header = {"op": "run", "sha": self._loaded, "reset": reset, "reload": info.has_resources}
        return self._ask(header, arrays, info.name)[1]

    def _load(self, model: bytes, info: ModelInfo) -> None:
        """Load the model into the worker unless it has it; `_loaded` is then the model's digest."""
        self._connect()
        if self._loaded == info.sha256:
            return
        self._loaded = ""
        answer, _ = self._ask({"op": "load", "sha": info.sha256}, [np.frombuffer(model, np.uint8)], info.name)
        for role, expected, seen in (
            ("inputs", info.inputs, answer["inputs"]),
            ("outputs", info.outputs, answer["outputs"]),
        ):
            described = [{"shape": list(t.shape), "dtype": t.dtype} for t in expected]
            if described != seen:
                raise InfrastructureError(
                    f"reference engine {self.name} sees other {role} in {info.name} than the file declares",
                    kind="engine-refused-model",
                    expected=str(described),
                    seen=str(seen),
                )
        self._loaded = info.sha256

    def _ask(self, header: dict[str, Any], arrays: Arrays, what: str) -> tuple[dict[str, Any], Arrays]:
        worker = self._connect()
        described = [{"dtype": a.dtype.name, "shape": list(a.shape), "bytes": int(a.nbytes)} for a in arrays]
        try:
            return worker.request(
                {**header, "arrays": described},
                [np.ascontiguousarray(a).tobytes() for a in arrays],
                what=what,
                limit=self.time_limit,
            )
        except EngineRefusal as exc:
            raise InfrastructureError(
                f"reference engine {self.record.name} refuses {what}",
                kind="engine-refused-model",
                expected="a model this interpreter runs",
                seen=str(exc),
                where=worker.last_words() or None,
                hint="the model is not covered: only an engine that runs it can judge the device",
            ) from exc
        except InfrastructureError:
            self.close()
            raise
        except BaseException:  # Ctrl-C in the middle of an answer: the stream cannot be used any more
            self.close()
            raise

    def _check_outputs(self, info: ModelInfo, outputs: Arrays, expected: list[tuple[tuple[int, ...], str]]) -> None:
        """Check that outputs have their expected shapes and types."""
        seen = [(o.shape, o.dtype.name) for o in outputs]
        if seen != expected:
            raise InfrastructureError(
                f"reference engine {self.name} gave outputs of another form for {info.name}",
                kind="engine-protocol",
                expected=str(expected),
                seen=str(seen),
            )


_ALL: weakref.WeakSet[ReferenceEngine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_ALL):
        engine.close()
