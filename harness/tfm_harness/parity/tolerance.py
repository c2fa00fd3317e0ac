"""Named tolerances: explicit, reasoned exceptions from bit-exactness, by op class.

Bit-exact is the rule. A tolerance is granted in a build's YAML for the operator class that produces an
output; it has a name and a reason, and each use is reported. Pure; imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

__all__ = ["MEASURED", "MEASURED_LSB", "SUGGESTED", "Tolerance", "choose", "tolerance_use"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """The differences that are excused.

    Attributes:
        name: its name in reports.
        reason: the reason why it is granted.
        model: ``fnmatch`` pattern of model names.
        op: TFLite operator class producing the output (``SOFTMAX``), or ``*``.
        dtype: ``int8``, ``int16``, ``float32``, ... the output's type.
        max_lsb: integers: largest difference in units of the last place.
        max_share: integers: largest share of differing elements, 0..1.
        abs, rel, of_largest: floats: |device - reference| <= abs + rel * |reference| + of_largest * the largest
            |reference| in the same vector.
        where: file and line that granted it.
    """

    name: str
    reason: str
    model: str = "*"
    op: str = "*"
    dtype: str = "int8"
    max_lsb: int = 0
    max_share: float = 1.0
    abs: float = 0.0
    rel: float = 0.0
    of_largest: float = 0.0
    where: str = ""

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError(f"tolerance {self.name!r} gives no reason")
        if self.max_lsb < 0 or not 0 <= self.max_share <= 1 or not min(self.abs, self.rel, self.of_largest) >= 0:
            raise ValueError(f"tolerance {self.name!r} has a negative or impossible limit")

    def covers(self, model: str, op: str, dtype: str) -> bool:
        """Whether it covers that output."""
        return self.dtype == dtype and fnmatchcase(model, self.model) and fnmatchcase(op, self.op)

    @property
    def limits(self) -> str:
        """The limits in words."""
        if self.dtype.startswith("float"):
            largest = f" + {self.of_largest:g} of the largest" if self.of_largest else ""
            return f"abs {self.abs:g} + rel {self.rel:g}{largest}"
        return f"at most {self.max_lsb} LSB on at most {self.max_share:.4%} of elements"


def choose(tolerances: Iterable[Tolerance], *, model: str, op: str, dtype: str) -> Tolerance | None:
    """The first tolerance that covers an output of `dtype` made by `op`; None: bit-exact."""
    return next((t for t in tolerances if t.covers(model, op, dtype)), None)


def tolerance_use(tolerance: Tolerance, sessions: Sequence[Mapping[str, Any]], models: Sequence[str]) -> str:
    """The state of a tolerance in a run, in the words of waivers.

    Args:
        sessions: every comparison of many vectors in the run, from `SessionResult.as_dict`.
        models: the build's models.

    Returns:
        ``used``: it excused a difference, or was exceeded. ``unused``: every model that it covers was compared, and
        it excused nothing, or it covers no model. ``not judged``: a model that it covers was not compared.
    """
    spoken_of = [model for model in models if fnmatchcase(model, tolerance.model)]
    compared = {session["comparison"]["model"] for session in sessions}
    outputs = [output for session in sessions for output in session["comparison"]["outputs"]]
    if any(o["tolerance"] == tolerance.name and o["exact_elements"] < o["elements"] for o in outputs):
        return "used"
    return "unused" if compared.issuperset(spoken_of) else "not judged"


SUGGESTED: Sequence[Tolerance] = (
    Tolerance(
        name="int8-last-layer",
        op="FULLY_CONNECTED",
        dtype="int8",
        max_lsb=1,
        max_share=0.001,
        reason="measured between TFLM and tflite-runtime 2.14 on ad01_int8: 4 of 640,000 elements by 1 LSB",
    ),
    Tolerance(
        name="int16-lut",
        op="SOFTMAX",
        dtype="int16",
        max_lsb=7,
        reason="TFLM's own kernel test (softmax_test.cc) allows 7 LSB for the int16 look-up table",
    ),
    Tolerance(
        name="float32",
        dtype="float32",
        abs=1e-6,
        rel=1e-4,
        reason="another order of additions; ULP alone is useless near zero",
    ),
)
"""Starting points for a build's YAML; none of them applies unless a build names it."""

MEASURED: Mapping[str, float] = {
    "AveragePool": 1e-6,
    "BatchNormalization": 1e-6,
    "Conv": 1e-6,
    "Erf": 1e-6,
    "Exp": 1e-6,
    "Gemm": 4e-6,
    "GlobalAveragePool": 1e-6,
    "LSTM": 2e-6,
    "LayerNormalization": 1e-6,
    "MatMul": 4e-6,
    "ReduceMean": 1e-6,
    "Sigmoid": 1e-6,
    "Softmax": 1e-6,
    "Tanh": 1e-6,
}
"""ONNX operators whose floats depend on the order of additions or on a library's function: `of_largest` of a tolerance
with ``measured: true``. Measured between the ONNX specification's evaluator 1.23 and onnxruntime 1.32, with a margin of
four to eight (benchmarks/parity/onnx_classes.py). Every other operator that was measured is exact."""

MEASURED_LSB = (1, 0.001)
"""The same for outputs that the device rounds to integers: `max_lsb` and `max_share`."""
