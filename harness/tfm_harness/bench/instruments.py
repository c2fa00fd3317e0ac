"""Instruments to judge a board: reference interpreters and ledgers, which are made at their first use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfm_harness.bench.context import NONCES
from tfm_harness.config.build import Build

if TYPE_CHECKING:
    from tfm_harness.parity.engines import ReferenceEngine
    from tfm_harness.trust.ledger import FileLedger
    from tfm_harness.trust.nonce_ledger import FileNonceLedger

__all__ = ["Instruments"]


class Instruments:
    """The instruments of one bench; `close` ends those that were started.

    Args:
        build: names the engine and its time limit.
        state_dir: the folder with the ledger of all runs.
        run_dir: the run's folder, with its ledger of nonces (default: `state_dir`).
    """

    def __init__(self, build: Build, state_dir: Path, run_dir: Path | None = None) -> None:
        self._build = build
        self._state_dir = state_dir
        self._run_dir = run_dir or state_dir
        self._engine: ReferenceEngine | None = None
        self._oracle: ReferenceEngine | None = None
        self._onnx_engine: ReferenceEngine | None = None
        self._onnx_oracle: ReferenceEngine | None = None
        self._measurer: ReferenceEngine | None = None
        self._ledger: FileLedger | None = None
        self._nonces: FileNonceLedger | None = None

    @property
    def engine(self) -> ReferenceEngine:
        """The reference interpreter."""
        if self._engine is None:
            from tfm_harness.parity.engine_choice import get_engine

            declared = self._build.parity
            self._engine = get_engine(declared.engine, time_limit=declared.time_limit)
        return self._engine

    @property
    def oracle(self) -> ReferenceEngine | None:
        """The second oracle; None when none is installed or it is the first one."""
        if self._oracle is None:
            from tfm_harness.parity.engine_choice import second_oracle

            self._oracle = second_oracle(self.engine.name, time_limit=self._build.parity.time_limit)
        return self._oracle

    def engine_of(self, model: str) -> ReferenceEngine:
        """The engine that computes a model's right outputs: the reference interpreter, or an evaluator of ONNX."""
        if not self._is_onnx(model):
            return self.engine
        if self._onnx_engine is None:
            from tfm_harness.parity.onnx import get_onnx_engine

            self._onnx_engine = get_onnx_engine(time_limit=self._build.parity.time_limit)
        return self._onnx_engine

    def oracle_of(self, model: str) -> ReferenceEngine | None:
        """The second oracle for a model; None when there is none."""
        if not self._is_onnx(model):
            return self.oracle
        if self._onnx_oracle is None:
            from tfm_harness.parity.onnx import onnx_second_oracle

            self._onnx_oracle = onnx_second_oracle(time_limit=self._build.parity.time_limit)
        return self._onnx_oracle

    @property
    def measurer(self) -> ReferenceEngine:
        """The NumPy reference, which measures the edges of the arithmetic that inputs reach."""
        if self._measurer is None:
            from tfm_harness.parity.engines import ReferenceEngine

            self._measurer = ReferenceEngine(
                "numpy-reference", time_limit=self._build.parity.time_limit, self_test=False
            )
        return self._measurer

    @property
    def corpus(self) -> Path:
        """The folder of inputs on which two implementations of a model differed."""
        return self._state_dir / "corpus"

    def _is_onnx(self, model: str) -> bool:
        declared = self._build.models.get(model)
        return declared is not None and declared.reference is not None and declared.reference.kind == "onnx"

    @property
    def ledger(self) -> FileLedger:
        """ECDSA r values of every signature that any run has seen from this state folder."""
        if self._ledger is None:
            from tfm_harness.trust.ledger import FileLedger

            self._ledger = FileLedger(self._state_dir / "signatures.sqlite")
        return self._ledger

    @property
    def nonces(self) -> FileNonceLedger:
        """Nonces of AES-GCM that this run has seen on any board, by key."""
        if self._nonces is None:
            from tfm_harness.trust.nonce_ledger import FileNonceLedger

            self._nonces = FileNonceLedger(self._run_dir / NONCES)
        return self._nonces

    def close(self) -> None:
        """End all instruments that were started. Safe to call twice; a later use makes them again."""
        engines = (self._engine, self._oracle, self._onnx_engine, self._onnx_oracle, self._measurer)
        self._engine = self._oracle = self._onnx_engine = self._onnx_oracle = self._measurer = None
        for engine in filter(None, engines):
            engine.close()
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()
        nonces, self._nonces = self._nonces, None
        if nonces is not None:
            nonces.close()
