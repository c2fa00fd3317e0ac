"""What a benchmark found, for people and for `benchmarks.compare`.

A figure is a ratio wherever it can be: to a bare loop or to a peer that ran on the same host in the same run. Numbers
of two hosts cannot be compared otherwise.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["FOLDER", "SCHEMA", "Figure", "Results", "rounds_within"]

SCHEMA: Final = "tfm-harness/benchmarks/1"
FOLDER: Final = "BENCHMARK_RESULTS"
"""Environment variable: the folder in which results are written, one JSON file for each benchmark."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        name: what was measured, in words that do not change.
        value: the measured value, or the ratio.
        unit: of `value`: s, ms, MB, vectors/s, ...; empty for a ratio.
        to: what the ratio is to; empty for a value that stands alone.
        at_most, at_least: the limit that is held, if there is one.
    """

    name: str
    value: float
    unit: str = ""
    to: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Whether it keeps its limit."""
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    def line(self) -> str:
        """For people."""
        limit = "" if self.at_most is None else f" (at most {self.at_most:g})"
        limit += "" if self.at_least is None else f" (at least {self.at_least:g})"
        mark = ("ok  " if self.met else "MISS") if limit else "    "
        return f"  {mark} {self.name}: {self.value:.3g} {self.unit}{f'of {self.to}' if self.to else ''}{limit}"


@dataclass
class Results:
    """The figures of one benchmark."""

    benchmark: str
    figures: list[Figure] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        value: float,
        *,
        unit: str = "",
        to: str = "",
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Print a figure and keep it; see `Figure`."""
        figure = Figure(name, float(value), unit, to, at_most, at_least)
        self.figures.append(figure)
        print(figure.line(), flush=True)

    def leave_out(self, what: str, why: str) -> None:
        """Something was not measured: said, and kept."""
        self.left_out.append(f"{what}: {why}")
        print(f"  left out: {what}: {why}", flush=True)

    def finish(self) -> int:
        """Write the JSON file, where a folder was named. Returns 1 when a limit is missed or nothing was measured."""
        folder = os.environ.get(FOLDER)
        if folder:
            said = {
                "schema": SCHEMA,
                "benchmark": self.benchmark,
                "host": {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()},
                "figures": [{**asdict(figure), "met": figure.met} for figure in self.figures],
                "left_out": self.left_out,
            }
            place = Path(folder)
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{self.benchmark}.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        return 0 if self.figures and all(figure.met for figure in self.figures) else 1


def rounds_within(
    results: Results, what: str, count: int, measure: Callable[[], _T], ended: tuple[type[Exception], ...] = ()
) -> list[_T]:
    """`count` measurements; one that meets its limit of time is left out, said, and the next one begins.

    Args:
        ended: what `measure` raises for a limit, beside TimeoutError.

    Raises:
        SystemExit: less than half of them came to an end.
    """
    limits: tuple[type[Exception], ...] = (TimeoutError, *ended)
    found: list[_T] = []
    for number in range(1, count + 1):
        try:
            found.append(measure())
        except limits as error:
            results.leave_out(f"{what}, round {number}", str(error) or type(error).__name__)
    if 2 * len(found) < count:
        results.finish()
        raise SystemExit(f"{what}: only {len(found)} of {count} rounds came to an end")
    return found
