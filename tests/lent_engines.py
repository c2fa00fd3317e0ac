"""Reference engines whose worker processes and self-tests are used again by later tests of the same process.

Most tests with an engine want its numbers. Its start, of which the import of numpy and the self-test are the larger
part, takes longer than they do. A worker gives each model that is loaded a process of its own, so nothing of one test
reaches the next. Tests of the workers themselves (`own_workers`) start each anew.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest
from tfm_harness import processes
from tfm_harness.parity import engines
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.onnx import OnnxEngine
from tfm_harness.parity.process import EngineRefusal, WorkerProcess

__all__ = ["LentWorker", "lending", "own_workers"]

_idle: Final[defaultdict[tuple[Any, ...], list[LentWorker]]] = defaultdict(list)


class LentWorker(WorkerProcess):
    """One that waits for its next user when the last one has done with it."""

    def __init__(self, key: tuple[Any, ...], engine: str, **options: Any) -> None:
        # It must not keep the locks of one test's boards from another test.
        self.whole = not processes._handed_on
        self.key, self.home, self.proven = key, os.getpid(), False
        super().__init__(engine, **options)

    def request(self, header: Mapping[str, Any], blobs: Sequence[bytes], *, what: str, limit: float) -> Any:
        """As `WorkerProcess.request`; a worker that has not answered is not used again."""
        whole, self.whole = self.whole, False
        try:
            answer = super().request(header, blobs, what=what, limit=limit)
        except EngineRefusal:
            self.whole = whole
            raise
        self.whole = whole
        return answer

    def close(self) -> None:
        """End it for good."""
        self.whole = False
        super().close()

    def forget(self) -> None:
        """Its user has done with it."""
        if self.whole and os.getpid() == self.home and self._process.poll() is None:
            _idle[self.key].append(self)
        else:
            super().forget()


def _lend(engine: str, **options: Any) -> WorkerProcess:
    if options.get("adapter"):  # an engine of a package, which a test has just written
        return WorkerProcess(engine, **options)
    key = (os.getpid(), engine, *sorted(options.items()))
    while _idle[key]:
        found = _idle[key].pop()
        if found._process.poll() is None:
            return found
        found.close()
        found.forget()
    return LentWorker(key, engine, **options)


def _once(prove: Any) -> Any:
    def proved(engine: ReferenceEngine) -> None:
        worker = engine._worker
        if not isinstance(worker, LentWorker) or not worker.proven:
            prove(engine)
        if isinstance(worker, LentWorker):
            worker.proven = True

    return proved


@contextmanager
def lending() -> Iterator[None]:
    """Workers are lent; those that are idle at the end are ended then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "WorkerProcess", _lend)
        for kind in (ReferenceEngine, OnnxEngine):
            patch.setattr(kind, "_prove", _once(kind._prove))
        yield
    for worker in [worker for workers in _idle.values() for worker in workers]:
        worker.close()
        worker.forget()
    _idle.clear()


@pytest.fixture(scope="module")
def own_workers() -> Iterator[None]:
    """For a module that looks at workers themselves: each engine starts one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "WorkerProcess", WorkerProcess)
        yield
