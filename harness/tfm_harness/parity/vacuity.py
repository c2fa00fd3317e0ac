"""Checks that a set of vectors can prove anything. Pure.

With uniform random inputs, some models give only a single output: parity over these inputs proves
nothing, and nobody notices. These checks make it a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfm_harness.findings import Report
from tfm_harness.parity import catalogue

__all__ = ["Diversity", "check_vacuity", "measure", "most_distinct"]

MIN_DISTINCT = 16
"""Fewer distinct outputs than this number (if so many vectors ran) are a finding."""

_WHERE = "`parity.vectors` and `parity.inputs` of the build: more vectors, or inputs of your own"

MAX_SATURATED = 0.5
"""A larger share of wholly saturated output vectors is a finding."""


@dataclass(frozen=True, slots=True)
class Diversity:
    """The diversity of a set of vectors.

    Attributes:
        distinct: distinct output vectors (all output tensors together).
        saturated: share of vectors whose every output element is at an end of its type's range.
        constant_inputs: numbers of the input tensors that are the same in all vectors.
    """

    vectors: int
    distinct: int
    saturated: float
    constant_inputs: tuple[int, ...]


def measure(inputs: Sequence[npt.NDArray[Any]], outputs: Sequence[npt.NDArray[Any]]) -> Diversity:
    """Measure arrays (n, *shape) of all inputs and all (reference) outputs."""
    vectors = len(outputs[0])
    rows = np.concatenate([np.ascontiguousarray(o).reshape(vectors, -1).view(np.uint8) for o in outputs], axis=1)
    distinct = len({row.tobytes() for row in rows})
    saturated = np.ones(vectors, dtype=bool)
    for output in outputs:
        flat = output.reshape(vectors, -1)
        if output.dtype.kind in "iu":
            limits = np.iinfo(output.dtype)
            saturated &= ((flat == limits.min) | (flat == limits.max)).all(axis=1)
        else:
            saturated &= ~np.isfinite(flat.astype(np.float64)).any(axis=1)
    constant = tuple(i for i, a in enumerate(inputs) if (a == a[:1]).all())
    return Diversity(vectors, distinct, float(saturated.mean()) if vectors else 0.0, constant)


def check_vacuity(
    inputs: Sequence[npt.NDArray[Any]],
    outputs: Sequence[npt.NDArray[Any]],
    report: Report,
    *,
    subject: str = "",
    min_distinct: int = MIN_DISTINCT,
    max_saturated: float = MAX_SATURATED,
) -> Diversity:
    """Append findings about the diversity of the vectors.

    Args:
        inputs, outputs: arrays (n, *shape); the outputs are the reference's, so that a device cannot influence them.
        min_distinct: capped at the number of vectors and never less than 2 for more than one vector.
    """
    found = measure(inputs, outputs)
    needed = max(min(min_distinct, found.vectors), 1)
    report.add(
        catalogue.DISTINCT_OUTPUTS,
        found.distinct >= needed and found.vectors > 1,
        expected=f"at least {max(needed, 2)} distinct outputs of {found.vectors} vectors",
        seen=f"{found.distinct} distinct outputs of {found.vectors} vectors",
        subject=subject,
        where=_WHERE,
    )
    report.add(
        catalogue.SATURATED_OUTPUTS,
        found.saturated <= max_saturated,
        expected=f"at most {max_saturated:.0%} of vectors saturated",
        seen=f"{found.saturated:.1%} of {found.vectors} vectors saturated in every element",
        subject=subject,
        where=_WHERE,
    )
    report.add(
        catalogue.CONSTANT_INPUTS,
        not found.constant_inputs,
        expected="every input tensor varies",
        seen=f"constant over {found.vectors} vectors: input {', '.join(map(str, found.constant_inputs))}",
        subject=subject,
        where=_WHERE,
    )
    return found


def most_distinct(outputs: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    """Numbers of `count` vectors (or all) that have as many distinct outputs as possible, in order.

    Args:
        outputs: (n, *shape).
        count: the number of wanted vectors.
    """
    rows = np.ascontiguousarray(outputs.reshape(len(outputs), -1))
    _, first = np.unique(rows, axis=0, return_index=True)
    chosen = np.sort(first)[:count]
    rest = np.setdiff1d(np.arange(len(rows)), chosen)[: max(0, count - len(chosen))]
    return np.sort(np.concatenate([chosen, rest]))
