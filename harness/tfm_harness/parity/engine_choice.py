"""Chooses the engine that is the oracle: the first one that is installed and passes its self-test."""

from __future__ import annotations

from typing import Unpack

from tfm_harness.errors import InfrastructureError
from tfm_harness.parity.engine_names import DEFAULT_ENGINES, SECOND_ORACLES
from tfm_harness.parity.engine_record import EngineOptions
from tfm_harness.parity.engines import ReferenceEngine

__all__ = ["get_engine", "second_oracle"]


def get_engine(name: str | None = None, **options: Unpack[EngineOptions]) -> ReferenceEngine:
    """The engine of that name, or the default one: the first of `DEFAULT_ENGINES` that passes its self-test.

    Args:
        options: as for `ReferenceEngine`.

    Raises:
        InfrastructureError: kind ``engine-missing`` or ``engine-refused``, with the error of each candidate.
    """
    if name is not None:
        return ReferenceEngine(name, **options)
    problems: list[InfrastructureError] = []
    for candidate in DEFAULT_ENGINES:
        try:
            return ReferenceEngine(candidate, **options)
        except InfrastructureError as exc:
            problems.append(exc)
    refused = next((p for p in problems if p.kind != "engine-missing"), problems[0])
    raise InfrastructureError(
        "no reference engine can be used",
        kind=refused.kind,
        expected=f"one of {', '.join(DEFAULT_ENGINES)}",
        seen="\n".join(f"{p.message}: {p.seen}" for p in problems),
        hint="reinstall tfm-harness with its dependencies",
    )


def second_oracle(first: str = "tflite-runtime", **options: Unpack[EngineOptions]) -> ReferenceEngine | None:
    """An engine whose kernels have other authors than the first oracle's: the first installed of `SECOND_ORACLES`.

    Args:
        first: name of the first oracle.
        options: as for `ReferenceEngine`.
    """
    for name in SECOND_ORACLES:
        if name == first:
            continue
        try:
            return ReferenceEngine(name, **options)
        except InfrastructureError as exc:
            if exc.kind != "engine-missing":
                raise
    return None
