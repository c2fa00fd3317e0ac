"""Accuracy of a model on labelled data: confusion matrices of device and reference, and AUC. Pure.

Parity shows whether the device computes the model's numbers; accuracy shows whether the model is right. Either can
fail alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tfm_harness.findings import Report
from tfm_harness.parity import accuracy_catalogue as catalogue

__all__ = ["AccuracyResult", "Metric", "area_under_curve", "check_accuracy", "confusion_matrix"]

Metric = Literal["top-1", "auc"]
_PRINTED_STEP = 1.5e-3
"""The largest error of a number that is printed with three decimals, rounded or cut."""

_SHOWN_WRONG = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyResult:
    """The results of a device and the reference on the same labelled inputs.

    Attributes:
        model: its name.
        metric: ``top-1`` (share of inputs whose largest output is their class's) or ``auc``.
        least: the value that the build requires; None: none.
        device, reference: the metric of each.
        labels: the classes' names.
        device_matrix, reference_matrix: rows: true class, columns: decided class; counts. Empty for ``auc``.
        alike: number of inputs on which both decide the same.
        samples: number of inputs.
        differing: the names of the first inputs on which they decide differently.
    """

    model: str
    metric: Metric
    least: float | None
    device: float
    reference: float
    labels: tuple[str, ...]
    device_matrix: tuple[tuple[int, ...], ...]
    reference_matrix: tuple[tuple[int, ...], ...]
    alike: int
    samples: int
    differing: tuple[str, ...] = ()

    def as_dict(self) -> Mapping[str, Any]:
        """For the run's record."""
        return {name: getattr(self, name) for name in self.__slots__}


def confusion_matrix(truth: npt.ArrayLike, decided: npt.ArrayLike, classes: int) -> npt.NDArray[np.int64]:
    """Counts by true class (rows) and decided class (columns).

    Args:
        truth, decided: n class numbers each, 0 to `classes` - 1.
        classes: the number of classes.

    Raises:
        ValueError: a class number outside of the range, or arrays of different lengths.
    """
    true, said = np.asarray(truth, dtype=np.int64), np.asarray(decided, dtype=np.int64)
    if true.shape != said.shape or true.ndim != 1:
        raise ValueError(f"{true.shape} true classes and {said.shape} decided ones")
    if true.size and (min(true.min(), said.min()) < 0 or max(true.max(), said.max()) >= classes):
        raise ValueError(f"a class outside of 0 to {classes - 1}")
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (true, said), 1)
    return matrix


def area_under_curve(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve (Mann-Whitney): the probability that a true sample scores higher; ties count half.

    Args:
        truth: n numbers, 1 (anomaly) or 0.
        scores: n finite numbers.

    Raises:
        ValueError: there is only one class, or a score is not finite.
    """
    true, value = np.asarray(truth, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    positives = int((true == 1).sum())
    negatives = int((true == 0).sum())
    if positives + negatives != true.size or true.shape != value.shape or not positives or not negatives:
        raise ValueError("an area under the curve needs scores of two classes, 0 and 1")
    if not np.isfinite(value).all():
        raise ValueError("a score is not finite")
    _, where, counts = np.unique(value, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[where]  # tied scores share the mean of their ranks
    return float((ranks[true == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def check_accuracy(
    truth: Sequence[int],
    device: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    report: Report,
    *,
    model: str,
    metric: Metric = "top-1",
    least: float | None = None,
    labels: Sequence[str] = (),
    names: Sequence[str] = (),
    printed: bool = False,
) -> AccuracyResult:
    """Judge the results of the device and the reference on the same labelled inputs.

    Args:
        truth: n class numbers; 0 or 1 for ``auc``.
        device, reference: scores (n, classes) for ``top-1``, (n,) for ``auc``: larger means class 1.
        report: gets the findings.
        model: its name, for the findings.
        metric: the metric to compute.
        least: the smallest value that is good enough; None: no value is required.
        labels: the classes' names; default: their numbers.
        names: the inputs' names.
        printed: whether the device's scores came as text with few decimals. Rounding can make two of them equal; then
            the reference decides which of the two is meant.

    Raises:
        ValueError: as `confusion_matrix`, `area_under_curve`.
    """
    if metric == "auc":
        values = [area_under_curve(truth, scores) for scores in (device, reference)]
        same = np.isclose(device, reference, rtol=0, atol=_PRINTED_STEP)
        matrices: list[npt.NDArray[np.int64]] = []
        shown: tuple[str, ...] = ("normal", "anomaly")
    else:
        classes = max(reference.shape[1], max(truth, default=0) + 1)
        decided = [np.argmax(scores, axis=1) for scores in (device, reference)]
        if printed:
            decided[0] = np.where(_rounded_to_a_tie(device, reference), decided[1], decided[0])
        matrices = [confusion_matrix(truth, each, classes) for each in decided]
        values = [float(np.trace(each) / max(each.sum(), 1)) for each in matrices]
        same = decided[0] == decided[1]
        shown = tuple(labels) if len(labels) == classes else tuple(map(str, range(classes)))
    named = [names[n] if n < len(names) else f"input {n}" for n in np.flatnonzero(~same)[:_SHOWN_WRONG]]
    found = AccuracyResult(
        model=model,
        metric=metric,
        least=least,
        device=values[0],
        reference=values[1],
        labels=shown,
        device_matrix=tuple(tuple(map(int, row)) for row in matrices[0]) if matrices else (),
        reference_matrix=tuple(tuple(map(int, row)) for row in matrices[1]) if matrices else (),
        alike=int(same.sum()),
        samples=len(truth),
        differing=tuple(named),
    )
    _judge(found, report)
    return found


def _rounded_to_a_tie(device: npt.NDArray[Any], reference: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Samples whose largest printed scores are equal, while the reference's scores of these classes are nearly equal.

    Equal numbers alone are not enough: a device that prints the same for all classes would always be right.
    """
    tied = device == device.max(axis=1, keepdims=True)
    largest = reference.max(axis=1, keepdims=True)
    return np.asarray(
        (~tied | (largest - reference <= _PRINTED_STEP)).all(axis=1) & (tied & (reference == largest)).any(axis=1)
    )


def _judge(found: AccuracyResult, report: Report) -> None:
    asked = f"{found.metric} of at least {found.least:g}" if found.least is not None else ""
    if found.least is not None:
        report.add(
            catalogue.DEVICE_ACCURACY,
            found.device >= found.least,
            expected=asked,
            seen=f"{found.device:.4g} over {found.samples} samples; the reference {found.reference:.4g}",
            subject=found.model,
        )
        alike = found.alike == found.samples
        exact = (
            "bit-exact and wrong: the device decides as the reference does, and the model itself misses what is asked"
        )
        wrong = found.reference < found.least
        report.add(
            catalogue.MODEL_ACCURACY,
            not wrong,
            expected=asked,
            seen=(exact if wrong and alike else f"the reference reaches {found.reference:.4g}")
            + (f" ({found.reference:.4g} over {found.samples} samples)" if wrong and alike else ""),
            where=_most_confused(found),
            subject=found.model,
        )
    report.add(
        catalogue.SAME_DECISIONS,
        found.alike == found.samples,
        expected="device and reference decide alike on every sample",
        seen=f"{found.alike} of {found.samples}"
        + (f"; they differ on {', '.join(found.differing)}" if found.differing else ""),
        subject=found.model,
    )


def _most_confused(found: AccuracyResult) -> str:
    """The pair of classes that the reference confuses most often, in words."""
    if not found.reference_matrix:
        return ""
    matrix = np.array(found.reference_matrix)
    np.fill_diagonal(matrix, 0)
    true, said = np.unravel_index(int(matrix.argmax()), matrix.shape)
    count = int(matrix[true, said])
    return f"{found.labels[true]!r} is taken for {found.labels[said]!r} {count} times" if count else ""
