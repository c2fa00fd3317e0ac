"""Coverage of the edges of a model's arithmetic by a set of vectors, and a search for vectors that reach more edges.

The edges are those of `tfm_harness.parity.numpy_reference.edges`; the NumPy reference measures them, so int8 models of
its operators are covered. Pure: the caller passes the function that measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.findings import Report
from tfm_harness.parity import catalogue
from tfm_harness.parity.generate import breed
from tfm_harness.parity.model_info import ModelInfo

__all__ = ["Coverage", "Measure", "check_edges", "reach"]

Array = npt.NDArray[Any]
Measure = Callable[[list[Array]], Array]
"""From inputs (n, *shape) to edges (n, operators, edges): 1 reached, 0 not reached, 2 no such edge."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """The edges that a set of vectors reaches.

    Attributes:
        names: names of the edges.
        hit: (operators, edges): number of vectors that reach the edge; -1 where the operator has no such edge.
    """

    names: tuple[str, ...]
    hit: Array
    vectors: int

    @classmethod
    def of(cls, names: Sequence[str], measured: Array) -> Coverage:
        """The coverage from the measurements of each vector (see `Measure`)."""
        reached = (measured == 1).sum(axis=0)
        return cls(tuple(names), np.where((measured == 2).all(axis=0), -1, reached), len(measured))

    @property
    def reached(self) -> int:
        """The number of edges that some vector reaches."""
        return int((self.hit > 0).sum())

    @property
    def all(self) -> int:
        """The number of edges that exist."""
        return int((self.hit >= 0).sum())

    def missing(self, info: ModelInfo) -> list[str]:
        """The edges that no vector reaches, operator by operator, in words."""
        words = []
        for op, row in zip(info.operators, self.hit, strict=True):
            lacking = [name for name, count in zip(self.names, row, strict=True) if count == 0]
            if lacking:
                words.append(f"{op}: {', '.join(lacking)}")
        return words

    def __str__(self) -> str:
        return f"{self.reached} of {self.all} edges reached by {self.vectors} vectors"

    def as_dict(self, info: ModelInfo) -> dict[str, Any]:
        """For JSON: the number of vectors that reach each edge, by operator and edge."""
        return {
            str(op): {name: int(count) for name, count in zip(self.names, row, strict=True) if count >= 0}
            for op, row in zip(info.operators, self.hit, strict=True)
        }


def reach(
    info: ModelInfo, inputs: Sequence[Array], measure: Measure, *, seed: int, rounds: int = 4,
    children: int = 32, most: int = 64,
) -> tuple[list[Array], Array]:  # fmt: skip
    """Search for vectors that reach edges which `inputs` do not.

    Args:
        inputs: one array (n, *shape) for each input, to start from.
        measure: see `Measure`.
        rounds: the most rounds, of `children` vectors each; the search stops when every edge is reached.
        most: the most vectors that are returned.

    Returns:
        One array (m, *shape) for each input, m from 0 to `most`: each vector reaches an edge that the ones before do
        not. And the measurements of `inputs` and of these vectors, (k, operators, edges).
    """
    rng = np.random.default_rng(seed)
    pool = [np.asarray(array) for array in inputs]
    measured = measure(pool)
    known, first = (measured == 1).any(axis=0), len(pool[0])
    for _ in range(rounds):
        if not ((measured != 2).any(axis=0) & ~known).any() or len(pool[0]) - first >= most:
            break
        parents = [int(i) for i in rng.integers(len(pool[0]), size=children)]
        born = [breed(array, parents, tensor, rng) for array, tensor in zip(pool, info.inputs, strict=True)]
        found = measure(born)
        for number, edges in enumerate(found):
            if ((edges == 1) & ~known).any() and len(pool[0]) - first < most:
                known |= edges == 1
                pool = [np.concatenate([p, c[number : number + 1]]) for p, c in zip(pool, born, strict=True)]
                measured = np.concatenate([measured, found[number : number + 1]])
    return [array[first:] for array in pool], measured


def check_edges(coverage: Coverage, info: ModelInfo, report: Report, *, subject: str) -> None:
    """Append a note about the edges that no vector reaches."""
    missing = coverage.missing(info)
    shown = "; ".join(missing[:6]) + (f"; and {len(missing) - 6} operators more" if len(missing) > 6 else "")
    report.add(
        catalogue.EDGES, not missing, subject=subject, expected=f"all {coverage.all} edges of the arithmetic reached",
        seen=f"{coverage}; not: {shown}" if missing else str(coverage),
    )  # fmt: skip
