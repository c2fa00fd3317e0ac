"""The record of the engine that computed the reference, and the options of an engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypedDict

__all__ = ["EngineOptions", "EngineRecord"]


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """The engine that computed the reference; every result holds this record."""

    name: str
    version: str
    resolver: str
    threads: int
    python: str = ""
    numpy: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.resolver}, {self.threads} thread"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class EngineOptions(TypedDict, total=False):
    """Keyword arguments of `ReferenceEngine`."""

    python: str
    time_limit: float
    memory_limit: int
    self_test: bool
