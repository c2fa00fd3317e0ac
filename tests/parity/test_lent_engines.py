"""Workers that tests lend each other: only whole ones, and only after their self-test."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from tfm_harness.errors import InfrastructureError
from tfm_harness.parity import small_models
from tfm_harness.parity.engines import ReferenceEngine
from tfm_harness.parity.process import WorkerProcess

from tests.lent_engines import own_workers

__all__ = ["own_workers"]

NAME = "numpy-reference"
INPUTS = np.zeros((1, 1, 16), dtype=np.int8)


def pid_of(engine: ReferenceEngine) -> int:
    assert engine._worker is not None
    return engine._worker.pid


def test_a_worker_is_used_again_and_has_proven_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_models.dense(seed=1)
    with ReferenceEngine(NAME) as first, ReferenceEngine(NAME) as beside:
        pids = {pid_of(first), pid_of(beside)}
        (expected,) = first.run(model, INPUTS)
    assert len(pids) == 2
    monkeypatch.setattr(ReferenceEngine, "run", None)  # with which it would prove itself
    with ReferenceEngine(NAME) as second:
        monkeypatch.undo()
        assert pid_of(second) in pids
        assert (second.run(model, INPUTS)[0] == expected).all()


def test_one_that_did_not_answer_is_not() -> None:
    with ReferenceEngine(NAME) as engine:
        pid = pid_of(engine)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(InfrastructureError):
            engine.run(small_models.dense(), INPUTS)
    with ReferenceEngine(NAME) as other:
        assert pid_of(other) != pid


def test_options_of_one_are_not_those_of_another() -> None:
    with ReferenceEngine(NAME) as usual:
        pid = pid_of(usual)
    with ReferenceEngine(NAME, memory_limit=2 << 30) as other:
        assert pid_of(other) != pid


def test_a_module_that_looks_at_workers_has_its_own(own_workers: None) -> None:
    with ReferenceEngine(NAME, self_test=False) as first:
        pid = pid_of(first)
        assert type(first._worker) is WorkerProcess
    with ReferenceEngine(NAME, self_test=False) as second:
        assert pid_of(second) != pid
