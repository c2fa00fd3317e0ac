"""Compares results that a device prints as decimal text with the reference, to the printed decimals.

MLPerf Tiny's firmware prints dequantised outputs with three decimals (``%0.3f``), or cuts them after the third if its
printf knows no floats. No document names the rule of a firmware; one rule must explain every result, so that a
difference in a single last digit counts.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfm_harness.findings import Report
from tfm_harness.parity import catalogue
from tfm_harness.parity.model_info import ModelInfo, TensorInfo
from tfm_harness.parity.quantise import dequantise

__all__ = ["PrintedComparison", "PrintedForm", "check_printed", "errors_of", "printed", "printed_error"]

DECIMALS: Final = 3
_MILLI = Decimal("0.001")


class PrintedForm(enum.StrEnum):
    """The rule by which a number becomes three decimals."""

    ROUNDED = "rounded"  # C's %0.3f: the exact value, ties to even
    ROUNDED_UP = "rounded half away from zero"  # small implementations of printf
    CUT = "cut after the third decimal"  # the keyword-spotting reference submission


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedComparison:
    """The outcome of a comparison.

    Attributes:
        vectors: number of compared inferences.
        values: number of compared results.
        wrong: number of results that differ by the rule that explains most.
        form: that rule.
        hidden_lsb: outputs that differ by up to so many steps can have the same three decimals; 0: no such outputs.
    """

    vectors: int
    values: int
    wrong: int
    form: PrintedForm
    hidden_lsb: int

    @property
    def exact(self) -> bool:
        """Whether at least one value was compared, and all agree."""
        return self.values > 0 and self.wrong == 0

    @property
    def words(self) -> str:
        """The precision of the comparison, in words for reports."""
        sees = (
            "which tell every step of the output apart"
            if not self.hidden_lsb
            else f"which hide differences of up to {self.hidden_lsb} steps of the output: this is not bit-exactness"
        )
        return f"judged to the {DECIMALS} decimals that the firmware prints ({self.form}), {sees}"


def printed(value: float, form: PrintedForm) -> str:
    """A single-precision number as the firmware prints it.

    Args:
        value: finite; taken as single precision.
        form: the rule.
    """
    single = np.float32(value)
    exact = Decimal(float(single))
    if form is PrintedForm.ROUNDED:
        return f"{float(single):.{DECIMALS}f}"
    if form is PrintedForm.ROUNDED_UP:
        return str(exact.quantize(_MILLI, rounding=ROUND_HALF_UP))
    # Digit by digit, in single precision, as the reference submission does.
    thousandths = int(np.float32(single * np.float32(1000)))
    whole, rest = divmod(abs(thousandths), 1000)
    return f"{'-' if thousandths < 0 else ''}{whole}.{rest:03d}"


def check_printed(
    texts: Sequence[Sequence[str]],
    reference: npt.NDArray[Any],
    info: ModelInfo,
    report: Report,
    *,
    subject: str = "",
) -> PrintedComparison:
    """Judge printed results of n inferences against the reference's output tensor.

    Args:
        texts: n lists of printed results.
        reference: the reference's first output, (n, *shape).
        info: the model.
        report: gets the findings.
        subject: the model's name, for the findings.
    """
    tensor = info.outputs[0]
    rows = np.asarray(dequantise(reference, tensor), dtype=np.float32).reshape(len(reference), tensor.elements)
    words = f"{rows.shape[1]} results of each of {len(rows)} inferences: the elements of {tensor.name}"
    if not _as_many(texts, rows.shape[1], len(rows), words, report, subject):
        return PrintedComparison(vectors=len(texts), values=0, wrong=0, form=PrintedForm.ROUNDED, hidden_lsb=0)
    hidden = _hidden(tensor)
    best, wrong = _fitting(texts, rows)
    found = PrintedComparison(vectors=len(rows), values=int(rows.size), wrong=len(wrong), form=best, hidden_lsb=hidden)
    seen = "every one"
    if wrong:
        vector, element = wrong[0]
        seen = (
            f"{len(wrong)} of {rows.size} differ; first: inference {vector}, result {element}:"
            f" {texts[vector][element]}, the reference {printed(float(rows[vector, element]), best)}"
        )
    report.add(
        catalogue.PRINTED_EXACT,
        found.exact,
        expected=f"the reference's values, {best}",
        seen=seen,
        subject=subject,
    )
    report.add(
        catalogue.PRINTED_RESOLUTION,
        False,
        expected="outputs as they are in the device's memory",
        seen=found.words,
        subject=subject,
    )
    return found


def printed_error(
    texts: Sequence[Sequence[str]],
    inputs: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    info: ModelInfo,
    report: Report,
    *,
    subject: str = "",
) -> PrintedComparison:
    """Judge the reconstruction errors that an autoencoder's firmware prints: the mean of the squared differences.

    The firmware adds squares in single precision in an order of its own: the last decimal may differ by one.

    Args:
        texts: n lists of one result.
        inputs: the inputs that were sent, real numbers (n, elements).
        reference: the reference's output (n, *shape).
        info, report, subject: as for `check_printed`.
    """
    scores = errors_of(inputs, reference, info)
    words = f"one result of each of {len(scores)} inferences: the reconstruction error"
    if not _as_many(texts, 1, len(scores), words, report, subject):
        return PrintedComparison(vectors=len(texts), values=0, wrong=0, form=PrintedForm.ROUNDED, hidden_lsb=0)
    wrong = [
        number
        for number, (text, score) in enumerate(zip(texts, scores, strict=True))
        if abs(Decimal(text[0]) - Decimal(printed(float(score), PrintedForm.ROUNDED))) > _MILLI
    ]
    found = PrintedComparison(
        vectors=len(scores), values=len(scores), wrong=len(wrong), form=PrintedForm.ROUNDED, hidden_lsb=1
    )
    first = wrong[0] if wrong else 0
    report.add(
        catalogue.PRINTED_EXACT,
        found.exact,
        expected="the reference's reconstruction errors, the last decimal within one",
        seen=f"{len(wrong)} of {len(scores)} differ; first: inference {first}: {texts[first][0]}, the reference"
        f" {scores[first]:.3f}" if wrong else "every one",
        subject=subject,
    )  # fmt: skip
    report.add(
        catalogue.PRINTED_RESOLUTION,
        False,
        expected="outputs",
        seen="judged by one number for each inference, the reconstruction error, to 3 decimals: single outputs are not"
        " seen",
        subject=subject,
    )
    return found


def errors_of(inputs: npt.NDArray[Any], reference: npt.NDArray[Any], info: ModelInfo) -> npt.NDArray[np.float64]:
    """The mean of the squared differences between an autoencoder's real inputs and its outputs, for each inference."""
    outputs = dequantise(reference, info.outputs[0]).reshape(len(reference), -1)
    given = np.asarray(inputs, dtype=np.float64).reshape(len(outputs), -1)
    error: npt.NDArray[np.float64] = ((outputs - given) ** 2).mean(axis=1)
    return error


def _as_many(
    texts: Sequence[Sequence[str]], each: int, inferences: int, expected: str, report: Report, subject: str
) -> bool:
    """Judge that there are so many inferences, and that each gave so many results."""
    counts = sorted({len(text) for text in texts})
    return report.add(
        catalogue.OUTPUT_FORM,
        counts == [each] and len(texts) == inferences,
        expected=expected,
        seen=f"{' or '.join(map(str, counts)) or 'no'} results of {len(texts)} inferences",
        subject=subject,
    )


def _fitting(
    texts: Sequence[Sequence[str]], rows: npt.NDArray[np.float32]
) -> tuple[PrintedForm, list[tuple[int, int]]]:
    """The rule by which the fewest results differ, and those results."""
    best: tuple[PrintedForm, list[tuple[int, int]]] | None = None
    said = [[Decimal(text) for text in row] for row in texts]
    values, where = np.unique(rows, return_inverse=True)
    numbers = where.reshape(rows.shape)
    for form in PrintedForm:
        expected = [Decimal(printed(float(value), form)) for value in values]
        wrong = [
            (vector, element)
            for vector, row in enumerate(said)
            for element, seen in enumerate(row)
            if seen != expected[numbers[vector, element]]
        ]
        if best is None or len(wrong) < len(best[1]):
            best = form, wrong
    assert best is not None  # noqa: S101 - there are rules
    return best


def _hidden(tensor: TensorInfo) -> int:
    """The most steps by which outputs with the same three decimals can differ; 0: none."""
    scale = tensor.quantisation.scales[0] if tensor.quantisation and tensor.quantisation.scales else None
    if scale is None or not np.issubdtype(np.dtype(tensor.dtype), np.integer):
        return 1  # real outputs have more decimals than three
    if scale > 10.0**-DECIMALS:
        return 0
    return int(10.0**-DECIMALS / scale)
