"""The results of a comparison: plain values, no judgement."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Comparison", "Difference", "OutputComparison"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element that differs, in C order.

    Attributes:
        vector: number of the inference.
        index: index inside the output tensor.
    """

    vector: int
    index: tuple[int, ...]
    reference: float
    device: float

    def __str__(self) -> str:
        return (
            f"vector {self.vector}, index {list(self.index)}: "
            f"reference {_number(self.reference)}, device {_number(self.device)}"
        )


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """One output tensor over all vectors.

    Attributes:
        elements, exact_elements: elements compared, and bit-exact ones.
        vectors, exact_vectors: inferences compared, and those with this output all bit-exact.
        histogram: elements by signed LSB difference (device - reference); empty for floats.
        max_lsb: largest absolute difference in LSB; 0 for floats.
        max_abs, max_rel: largest absolute and relative difference in real units.
        sqnr_db: signal to noise in dB, None when nothing differs, -inf when there is noise and no (finite) signal.
        cosine_min, cosine_mean: over vectors, in real units.
        top1: share of vectors whose largest element has the same index; None for one element.
        tolerance: name of the tolerance in force, empty when bit-exact.
        op: the operator that makes this output.
        passed: the verdict.
    """

    index: int
    name: str
    dtype: str
    op: str
    elements: int
    exact_elements: int
    vectors: int
    exact_vectors: int
    histogram: dict[int, int]
    max_lsb: int
    max_abs: float
    max_rel: float
    sqnr_db: float | None
    cosine_min: float
    cosine_mean: float
    top1: float | None
    first: Difference | None
    tolerance: str
    passed: bool

    @property
    def exact(self) -> bool:
        """Whether every element is bit-exact."""
        return self.exact_elements == self.elements

    def __str__(self) -> str:
        if self.exact:
            return f"{self.elements} elements of {self.vectors} vectors bit-exact"
        size = f"max {self.max_lsb} LSB" if self.histogram else f"max abs {self.max_abs:.3g}, rel {self.max_rel:.3g}"
        noise = "" if self.sqnr_db is None else f", SQNR {self.sqnr_db:.1f} dB"
        top1 = "" if self.top1 is None else f", top-1 {self.top1:.2%}"
        return (
            f"{self.elements - self.exact_elements} of {self.elements} elements differ "
            f"({self.exact_vectors} of {self.vectors} vectors exact), {size}{noise}, "
            f"cosine >= {self.cosine_min:.6f}{top1}"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole comparison of one model.

    Attributes:
        failing: numbers of the vectors in which any output differs (is not bit-exact), ascending.
    """

    model: str
    vectors: int
    outputs: tuple[OutputComparison, ...]
    failing: tuple[int, ...]
    passed: bool

    @property
    def exact(self) -> bool:
        """Whether everything is bit-exact (and something was compared)."""
        return bool(self.outputs) and all(o.exact for o in self.outputs)

    @property
    def first(self) -> Difference | None:
        """The first difference of the first output that differs."""
        return next((o.first for o in self.outputs if o.first is not None), None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; histogram keys become text, and so do numbers that JSON cannot represent (``"inf"``)."""
        plain = asdict(self)
        for output in plain["outputs"]:
            output["histogram"] = {str(k): v for k, v in output["histogram"].items()}
            for part in filter(None, (output, output["first"])):
                part.update({k: str(v) for k, v in part.items() if isinstance(v, float) and not np.isfinite(v)})
        plain["failing"] = list(self.failing[:1000])
        return plain


def _number(value: float) -> str:
    return str(int(value)) if np.isfinite(value) and value == int(value) and abs(value) < 1e15 else f"{value:.9g}"
