"""Runs thousands of vectors through a device and the reference, with progress.

The reference computes a chunk in its own process while the device computes the same chunk, so that the
UART remains the bottleneck.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tfm_harness.errors import ConfigError, HarnessError
from tfm_harness.findings import Report
from tfm_harness.parity import catalogue
from tfm_harness.parity.arrays import check_inputs, join
from tfm_harness.parity.compare import Comparison, compare
from tfm_harness.parity.engine_record import EngineRecord
from tfm_harness.parity.engines import ReferenceEngine, State
from tfm_harness.parity.firstop import DeviceTrace, FirstOp, check_trace, first_op_by_oracle, operator_table
from tfm_harness.parity.model_info import ModelInfo
from tfm_harness.parity.replay import Failure, save_failure, save_json
from tfm_harness.parity.tolerance import Tolerance
from tfm_harness.parity.vacuity import MAX_SATURATED, MIN_DISTINCT, Diversity, check_vacuity

__all__ = ["Batch", "Progress", "SessionResult", "require_state", "run_session"]

Array = npt.NDArray[Any]

CHUNK_BYTES = 32_000
"""The most bytes of a chunk's inputs or outputs: about eight messages of the wire protocol."""

MAX_SEQUENCE = 4096
"""The most vectors of a sequence that are saved for replay, unless the first failing one comes later."""

MAX_KEPT_BYTES = 64 << 20
"""The most bytes of inputs and outputs of a session that is kept as a whole."""

MAX_SAVED = 16
"""The most failing vectors that are saved for replay."""


class Batch(Protocol):
    """A device's batch command: `SmpDriver.batch` and the like."""

    def __call__(self, inputs: Sequence[bytes], output_bytes: int, /) -> Sequence[bytes]:
        """Run each input; one output of `output_bytes` bytes each."""
        ...


Progress = Callable[[int, int], None]
"""A function that is called with the number of vectors that are done, and of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """The results of a session; the verdict is in the report.

    Attributes:
        first_op: the operator in which the first failing vector goes wrong, if it could be found.
        undiagnosed: why no operator could be named, empty when one was or when nothing failed.
        failure: file that replays the failing vectors, when there are any.
        vectors_file: file with all vectors, for a later comparison; None when they are not kept.
        device_seconds: host time spent in the device's batch command.
        seed: seed of generated inputs, None for inputs from files.
    """

    comparison: Comparison
    diversity: Diversity
    engine: EngineRecord
    first_op: FirstOp | None
    undiagnosed: str
    failure: Path | None
    device_seconds: float
    seed: int | None
    vectors_file: Path | None = None

    @property
    def vectors_per_second(self) -> float:
        """The device's throughput, measured by the host."""
        return self.comparison.vectors / self.device_seconds if self.device_seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON and the report page."""
        return {
            "comparison": self.comparison.as_dict(),
            "distinct": self.diversity.distinct,
            "saturated": self.diversity.saturated,
            "engine": self.engine.as_dict(),
            "first_op": str(self.first_op) if self.first_op else "",
            "undiagnosed": self.undiagnosed,
            "failure": str(self.failure) if self.failure else "",
            "vectors_file": self.vectors_file.name if self.vectors_file else "",
            "device_seconds": self.device_seconds,
            "seed": self.seed,
        }


def run_session(
    engine: ReferenceEngine,
    model: bytes,
    inputs: Sequence[npt.ArrayLike] | npt.ArrayLike,
    batch: Batch,
    report: Report,
    *,
    name: str,
    tolerances: Iterable[Tolerance] = (),
    trace: DeviceTrace | None = None,
    oracle: ReferenceEngine | Callable[[], ReferenceEngine | None] | None = None,
    progress: Progress | None = None,
    save_to: Path | None = None,
    keep_to: Path | None = None,
    seed: int | None = None,
    context: Mapping[str, str] | None = None,
    min_distinct: int = MIN_DISTINCT,
    max_saturated: float = MAX_SATURATED,
    state: State | None = None,
    second_half: Callable[[], Sequence[npt.ArrayLike]] | None = None,
) -> SessionResult:
    """Compare a device with the reference on many vectors and append every finding to `report`.

    Args:
        inputs: one array (n, *shape) for each input tensor.
        batch: the device.
        trace: the device's trace command, when it has one: names the first differing operator.
        oracle: second oracle (or a function that makes it) for the same purpose, used if there is no trace or the
            trace finds nothing.
        save_to: folder for the replay file of failing vectors.
        keep_to: folder for a file with all vectors.
        context: facts for the replay file (target, build, model file).
        state: how the device treats a stateful model: reset before each vector, or kept over the whole session; the
            reference is treated likewise.
        second_half: gives the vectors in place of those from ``n // 2`` on, as many. It is called when the device has
            had the ones before.

    Raises:
        ConfigError: kind ``model-stateful``: the build does not say what the device does with the model's state.
        InfrastructureError: the reference or the transport failed; nothing was learnt.
        ProductError: the device refused or broke its protocol.
    """
    info = engine.info(model, name)
    require_state(info, state)
    arrays = check_inputs(info, inputs)
    arrays, reference, device, seconds = _both(engine, model, info, arrays, second_half, batch, progress, state)
    comparison = compare(reference, device, list(tolerances), report, info=info, model=name)
    diversity = check_vacuity(
        arrays, reference, report, subject=name, min_distinct=min_distinct, max_saturated=max_saturated
    )

    def picked(vectors: list[int]) -> Failure:
        return Failure(
            model=name,
            model_sha256=info.sha256,
            vectors=tuple(vectors),
            inputs=tuple(a[vectors] for a in arrays),
            reference=tuple(r[vectors] for r in reference),
            device=tuple(d[vectors] for d in device),
            engine=engine.record.as_dict(),
            seed=seed,
            context=dict(context or {}),
            state=state or "",
        )

    failure = vectors_file = None
    if comparison.failing and save_to is not None:
        failing = list(comparison.failing[:MAX_SAVED])
        if info.stateful and state == "sequence":  # earlier vectors of the sequence are needed to reproduce the failure
            last = max((v for v in failing if v < MAX_SEQUENCE), default=failing[0])
            failing = list(range(last + 1))
        failure = save_failure(save_to, picked(failing))
    if keep_to is not None and sum(a.nbytes for a in (*arrays, *reference, *device)) <= MAX_KEPT_BYTES:
        vectors_file = save_failure(keep_to, picked(list(range(len(arrays[0])))), prefix="vectors")
    first_op, undiagnosed = None, ""
    if comparison.failing:
        number = comparison.failing[0]
        vector = [a[number][np.newaxis] for a in arrays]
        before = [a[:number] for a in arrays] if info.stateful and state == "sequence" and number else None
        # A difference that a tolerance excuses must not fail as another finding.
        told = report if not comparison.passed else Report()
        first_op, undiagnosed = _diagnose(
            engine, model, vector, told, name=name, trace=trace, oracle=oracle, before=before
        )
        if first_op is None and save_to is not None:
            undiagnosed += _operators(engine, model, vector, save_to, name=name, oracle=oracle, before=before)
    return SessionResult(
        comparison=comparison,
        diversity=diversity,
        engine=engine.record,
        first_op=first_op,
        undiagnosed=undiagnosed,
        failure=failure,
        device_seconds=seconds,
        seed=seed,
        vectors_file=vectors_file,
    )


def require_state(info: ModelInfo, state: State | None) -> None:
    """A stateful model cannot be compared without knowing what the device does with its state.

    Raises:
        ConfigError: kind ``model-stateful``.
    """
    if info.stateful and state is None:
        raise ConfigError(
            f"model {info.name} keeps state from one inference to the next, and the build does not say what the device"
            " does with it",
            kind="model-stateful",
            expected="`state: per-vector` (the device resets it before each inference) or `state: sequence` (it keeps"
            " it from the session's beginning on) under the model in the build",
            seen=", ".join(info.state[:4]),
            hint="say it in the build; until then the model is not covered",
        )


def _diagnose(
    engine: ReferenceEngine,
    model: bytes,
    vector: list[Array],
    report: Report,
    *,
    name: str,
    trace: DeviceTrace | None,
    oracle: ReferenceEngine | Callable[[], ReferenceEngine | None] | None,
    before: list[Array] | None = None,
) -> tuple[FirstOp | None, str]:
    """The first operator that goes wrong, or the reason why it cannot be named. The verdict does not depend on it."""
    reasons = []
    if trace is not None and before is not None:
        reasons.append(f"a trace runs one vector; this one depends on the {len(before[0])} before it")
    elif trace is not None:
        try:
            found = check_trace(engine, model, vector, trace, report, name=name)
        except HarnessError as error:
            reasons.append(f"no trace: {error.message}")
        else:
            if found is not None:
                return found, ""
            reasons.append("the device's trace of this vector shows no wrong operator")
    try:
        second = oracle() if callable(oracle) else oracle
        if second is not None:
            found = first_op_by_oracle(engine, second, model, vector, name=name, before=before)
            if found is not None:
                report.add(
                    catalogue.FIRST_OP,
                    passed=False,
                    expected="kernels on which both oracles agree",
                    seen=f"the oracles differ from {found} on",
                    where=str(found.operator),
                    subject=name,
                )
                return found, ""
            reasons.append(f"{second.name} agrees with {engine.name}: the difference was made on the device")
    except HarnessError as error:
        reasons.append(f"the second oracle cannot tell: {error.message}")
    return None, "; ".join(reasons) or "the device gives no trace and no second oracle is installed"


def _operators(
    engine: ReferenceEngine,
    model: bytes,
    vector: list[Array],
    folder: Path,
    *,
    name: str,
    oracle: ReferenceEngine | Callable[[], ReferenceEngine | None] | None,
    before: list[Array] | None,
) -> str:
    """Save the right output of each operator for the first failing vector; returns a text that names the file."""
    try:
        second = oracle() if callable(oracle) else oracle
        rows = operator_table(engine, second, model, vector, name=name, before=before)
    except HarnessError as error:
        return f"; no values of the operators: {error.message}"
    about = {"model": name, "engine": str(engine.record), "operators": rows}
    return f"; what each operator should give: {save_json(folder, about, 'operators', name, vector).name}"


def _both(
    engine: ReferenceEngine,
    model: bytes,
    info: ModelInfo,
    arrays: list[Array],
    second_half: Callable[[], Sequence[npt.ArrayLike]] | None,
    batch: Batch,
    progress: Progress | None,
    state: State | None,
) -> tuple[list[Array], list[Array], list[Array], float]:
    """The inputs, both sides' outputs, and the seconds of the device."""
    total = len(arrays[0])
    half = total if second_half is None else total // 2
    size = max(1, CHUNK_BYTES // max(info.input_bytes, info.output_bytes, 1))
    references: list[list[Array]] = []
    outputs: list[list[Array]] = []
    seconds = 0.0
    if progress:
        progress(0, total)
    for at, behind in pairwise([*range(0, half, size), *range(half, total, size), total]):
        if second_half is not None and at == half:
            rest = check_inputs(info, second_half())
            if len(rest[0]) != total - half:
                raise ValueError(f"{len(rest[0])} vectors in place of {total - half}")
            arrays = [np.concatenate([a[:half], b]) for a, b in zip(arrays, rest, strict=True)]
        chunk = [a[at:behind] for a in arrays]
        count = len(chunk[0])
        with engine.computing(model, chunk, name=info.name, state=state, fresh=at == 0) as expected:
            packed = info.pack_inputs(chunk)
            step = info.input_bytes
            began = time.monotonic()
            answers = batch([packed[i * step : (i + 1) * step] for i in range(count)], info.output_bytes)
            seconds += time.monotonic() - began
            outputs.append(info.unpack_outputs(b"".join(answers), count))
            references.append(expected.result())
        if progress:
            progress(behind, total)
    return arrays, join(references, info.outputs), join(outputs, info.outputs), seconds
