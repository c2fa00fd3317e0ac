"""The measurements of a run as typed data: latency, parity, accuracy, traces. Parts of `tfm_harness.report.record`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict

from tfm_harness.latency.series import Series
from tfm_harness.report.strict import STRICT

__all__ = [
    "AccuracyEntry",
    "LatencyEntry",
    "ParityDifference",
    "ParityEntry",
    "ParityOutput",
    "TimingEntry",
    "TraceEntry",
]


_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"})


def _figure(value: object) -> object:
    """JSON cannot represent numbers that are not finite: they are written as text."""
    return float(value) if isinstance(value, str) and value in _NOT_FINITE else value


Figure = Annotated[float, BeforeValidator(_figure)]
"""A float that may be infinite or no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyEntry:
    """One series, with the limits that judged it.

    Attributes:
        baseline: the accepted baseline; None on the first night.
        baseline_name: the run that gave the baseline.
        budgets: limits in seconds by statistic.
        gate: the regression gate's verdict and figures, by name.
        phases: seconds by phase of one typical request, ``wire`` included.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    board: str = ""
    series: Series
    baseline: Series | None = None
    baseline_name: str = ""
    budgets: Mapping[str, float] = field(default_factory=dict)
    gate: Mapping[str, str] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityDifference:
    """The first element that differs; values are those of the model's output type."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    vector: int
    index: tuple[int, ...]
    reference: Figure
    device: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityOutput:
    """One output tensor's comparison: `tfm_harness.parity.compare.OutputComparison`, without its arrays."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    index: int
    elements: int
    exact_elements: int
    vectors: int = 0
    exact_vectors: int = 0
    name: str = ""
    dtype: str = ""
    op: str = ""
    histogram: Mapping[str, int] = field(default_factory=dict)
    max_lsb: int = 0
    max_abs: Figure = 0.0
    max_rel: Figure = 0.0
    sqnr_db: Figure | None = None
    cosine_min: Figure = 1.0
    cosine_mean: Figure = 1.0
    top1: Figure | None = None
    first: ParityDifference | None = None
    tolerance: str = ""
    passed: bool = True

    @property
    def exact(self) -> bool:
        """Whether every element is the reference's, bit for bit."""
        return self.exact_elements == self.elements


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityEntry:
    """One model's comparison with the reference interpreter.

    Attributes:
        engine: the interpreter: name, version, resolver.
        distinct: the number of different outputs of the device.
        saturated: share of output elements at the end of their range, 0 to 1.
        first_op: the first operator that differs; `undiagnosed` says why it cannot be named.
        edges: by operator and edge of its arithmetic, how many of the traced vectors reach it.
        failure: the file for ``tfm-harness replay``.
        vectors_file: the file in the run's folder with all inputs, and the outputs of device and reference.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    board: str = ""
    model: str
    vectors: int = 0
    outputs: tuple[ParityOutput, ...] = ()
    failing: tuple[int, ...] = ()
    engine: Mapping[str, str] = field(default_factory=dict)
    distinct: int = 0
    saturated: Figure = 0.0
    inputs: str = ""
    edges: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    seed: int | None = None
    first_op: str = ""
    undiagnosed: str = ""
    failure: str = ""
    vectors_file: str = ""
    device_seconds: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether every output element is the reference's, bit for bit."""
        return all(output.exact for output in self.outputs)

    @property
    def edges_words(self) -> str:
        """How many edges of the arithmetic were reached, and which were not; empty when none were traced."""
        counts = [count for row in self.edges.values() for count in row.values()]
        missing = [
            f"{op}: {', '.join(name for name, count in row.items() if not count)}"
            for op, row in self.edges.items()
            if not all(row.values())
        ]
        reached = f"{sum(map(bool, counts))} of {len(counts)}" if counts else ""
        return f"{reached}; not {'; '.join(missing)}" if missing else reached


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyEntry:
    """The accuracy of one model on labelled data: device and reference.

    Attributes:
        metric: ``top-1`` or ``auc``; `least` is the value that the build requires.
        device, reference: the metric of each, 0 to 1.
        labels: the classes' names.
        device_matrix, reference_matrix: counts; rows: true class, columns: decided class. Empty for ``auc``.
        alike: number of samples on which both decide the same; `differing` names the first of the others.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    board: str = ""
    model: str
    metric: Literal["top-1", "auc"]
    least: float | None = None
    device: float
    reference: float
    labels: tuple[str, ...] = ()
    device_matrix: tuple[tuple[int, ...], ...] = ()
    reference_matrix: tuple[tuple[int, ...], ...] = ()
    alike: int = 0
    samples: int = 0
    differing: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The result in a sentence."""
        asked = f", {self.least:g} asked for" if self.least is not None else ""
        verdict = ""
        if self.least is not None and self.reference < self.least:
            verdict = "; bit-exact and wrong" if self.alike == self.samples else "; the model itself is wrong"
        return (
            f"{self.metric} {self.device:.4g} on the device, {self.reference:.4g} by the reference{asked};"
            f" {self.alike} of {self.samples} samples decided alike{verdict}"
        )

    def confused(self, matrix: tuple[tuple[int, ...], ...]) -> str:
        """A confusion matrix as text: each true class with the classes that were decided for it, by count."""
        rows = []
        for label, row in zip(self.labels, matrix, strict=False):
            said = ", ".join(f"{self.labels[n]} {count}" for n, count in enumerate(row) if count)
            rows.append(f"{label}: {said or 'no sample'}")
        return "; ".join(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingEntry:
    """Whether a time depends on a value: `tfm_harness.latency.dudect.Dudect` of one operation.

    Attributes:
        name: the timed operation.
        check: id of the check that judged it.
        fixed, random: measurements of the two classes; `means` of them, in ticks.
        values: (test, t), in order: all times, the cropped ones, the second order.
        limits: of |t|: suspicious, certain.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    board: str = ""
    name: str
    check: str
    fixed: int
    random: int
    means: tuple[Figure, Figure]
    values: tuple[tuple[str, Figure], ...]
    limits: tuple[float, float]

    @property
    def worst(self) -> float:
        """The largest of all |t|."""
        return max((abs(t) for _, t in self.values), default=0.0)

    @property
    def words(self) -> str:
        """The result in a sentence."""
        verdict = "certain" if self.worst > self.limits[1] else "suspicious" if self.worst > self.limits[0] else "even"
        return f"{verdict}: |t| {self.worst:.2f}, {self.fixed} fixed and {self.random} random inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEntry:
    """The values that the sensor was made to see, and the outputs of the device.

    Attributes:
        channels: values over samples, by channel name with its unit (``mag.x [uT]``).
        outputs: (sample number, output values) after each inference, oldest first.
        labels: names of the output's elements.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    combination: str
    board: str = ""
    name: str
    channels: Mapping[str, tuple[Figure, ...]]
    outputs: tuple[tuple[int, tuple[Figure, ...]], ...] = ()
    labels: tuple[str, ...] = ()
