"""The harness' own predicate: facts for which the standard predicates have no field.

Its JSON Schema is ``docs/schemas/validation-run.schema.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, TypeAdapter

__all__ = [
    "VALIDATION_RUN",
    "BundleFile",
    "Reason",
    "RequirementState",
    "RunFacts",
    "ValidationRun",
    "predicate_schema",
]

VALIDATION_RUN: Final = "urn:x-tfm-harness:validation-run:v1"
"""The predicate's type."""

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """A file that belongs to the run.

    Attributes:
        path: the path in the bundle; for a file that was left out, the path that it would have.
        role: ``record``, ``page``, ``transcript``, ``raw evidence``, ``vectors``, ``target``, ``build``, ``image``,
            ``model``, ``key``, ``bill of materials``, ``attestation result``, ``reference values`` or ``file``.
        here: whether the bundle holds the file; otherwise it has only the digest.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    path: str
    role: str
    sha256: str
    bytes: int
    here: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The run, the harness that made it, and its verdict."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    verdict: str
    headline: str
    started: str
    seconds: float
    version: str
    package_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementState:
    """The state of one requirement on one combination."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    combination: str
    suite: str
    proves: str
    requirement: str
    checks: tuple[str, ...]
    state: Literal["proven", "partly", "excused", "failed", "not proven"]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A test or finding, with the reason why it proves nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    what: str
    reason: str
    combination: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRun:
    """The predicate.

    Attributes:
        run: which run.
        files: all files that the run wrote and used, by digest.
        suites: digest of each suite's files, by name.
        requirements: every row of the suites that took part, proven or not.
        not_covered: tests that this target or firmware cannot run, with the reason.
        not_run: tests that were left out or never reached, with the reason.
        waived: findings that did not hold and were excused, with the waiver's reason.
        infrastructure: failures of the bench, not of the product.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    run: RunFacts
    files: tuple[BundleFile, ...] = ()
    suites: dict[str, str] = field(default_factory=dict)
    requirements: tuple[RequirementState, ...] = ()
    not_covered: tuple[Reason, ...] = ()
    not_run: tuple[Reason, ...] = ()
    waived: tuple[Reason, ...] = ()
    infrastructure: tuple[Reason, ...] = ()


ADAPTER: Final = TypeAdapter(ValidationRun)


def predicate_schema() -> dict[str, Any]:
    """The JSON Schema of the predicate."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": VALIDATION_RUN,
        **ADAPTER.json_schema(),
    }
