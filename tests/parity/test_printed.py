"""Printed results: one rule of rounding explains all of them, or a last digit is wrong."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.findings import Report
from tfm_harness.parity.model_info import Quantisation
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.printed import PrintedForm, check_printed, printed
from tfm_harness.parity.quantise import dequantise
from tfm_harness.parity.vacuity import most_distinct
from tfm_harness.testing import dense

INFO = parse_model(dense(), name="dense")
OUTPUTS = np.random.default_rng(3).integers(-128, 128, (20, 1, 8)).astype(np.int8)


def texts(form: PrintedForm) -> list[list[str]]:
    return [[printed(float(v), form) for v in row] for row in dequantise(OUTPUTS, INFO.outputs[0]).reshape(20, 8)]


def status(report: Report, name: str) -> bool:
    return all(f.passed for f in report.findings if f.check.id == f"parity.{name}")


@pytest.mark.parametrize("form", PrintedForm)
def test_each_rule_explains_what_it_printed(form: PrintedForm) -> None:
    report = Report()
    found = check_printed(texts(form), OUTPUTS, INFO, report)
    assert found.exact
    assert status(report, "printed-exact")
    assert "judged to the 3 decimals" in found.words


def test_a_last_digit_is_seen_and_named() -> None:
    said = texts(PrintedForm.ROUNDED)
    said[7][3] = str(Decimal(said[7][3]) + Decimal("0.001"))
    report = Report()
    found = check_printed(said, OUTPUTS, INFO, report)
    assert found.wrong == 1
    (wrong,) = [f for f in report.findings if f.check.id == "parity.printed-exact"]
    assert "inference 7, result 3" in wrong.seen


def test_two_rules_at_once_are_no_rule() -> None:
    """A firmware that rounds some results and cuts others computes something else for some of them."""
    (output,) = INFO.outputs
    fine = replace(INFO, outputs=(replace(output, quantisation=Quantisation((1 / 300,), (0,))),))
    real = dequantise(np.abs(OUTPUTS.clip(-127)), fine.outputs[0]).reshape(20, 8)
    forms = [PrintedForm.ROUNDED] * 10 + [PrintedForm.CUT] * 10
    said = [[printed(float(v), form) for v in row] for form, row in zip(forms, real, strict=True)]
    report = Report()
    assert not check_printed(said, np.abs(OUTPUTS.clip(-127)), fine, report).exact
    assert not status(report, "printed-exact")


@pytest.mark.parametrize("change", [lambda row: row[:-1], lambda row: [*row, "0.000"], lambda _: []])
def test_another_number_of_results_is_another_form(change: object) -> None:
    said = texts(PrintedForm.ROUNDED)
    said[4] = change(said[4])  # type: ignore[operator]
    report = Report()
    assert not check_printed(said, OUTPUTS, INFO, report).exact
    assert not status(report, "output-form")


def test_nothing_compared_is_no_pass() -> None:
    report = Report()
    assert not check_printed([], OUTPUTS[:0], INFO, report).exact
    assert not status(report, "output-form")


@given(st.floats(min_value=-1e6, max_value=1e6, width=32))
def test_rounding_is_that_of_printf(value: float) -> None:
    assert printed(value, PrintedForm.ROUNDED) == f"{float(np.float32(value)):.3f}"
    assert abs(Decimal(printed(value, PrintedForm.ROUNDED_UP)) - Decimal(value)) <= Decimal("0.0005")


@pytest.mark.parametrize(("value", "even", "up", "cut"), [
    (0.0625, "0.062", "0.063", "0.062"),
    (0.99609375, "0.996", "0.996", "0.996"),
    (0.0, "0.000", "0.000", "0.000"),
    (-0.5, "-0.500", "-0.500", "-0.500"),
])  # fmt: skip
def test_known_values(value: float, even: str, up: str, cut: str) -> None:
    assert [printed(value, form) for form in PrintedForm] == [even, up, cut]


def test_inputs_with_other_outputs_are_chosen_first() -> None:
    outputs = np.array([[1], [1], [2], [1], [3], [2]])
    assert most_distinct(outputs, 4).tolist() == [0, 1, 2, 4]
    assert most_distinct(outputs, 2).tolist() == [0, 2]
    assert most_distinct(outputs, 99).tolist() == [0, 1, 2, 3, 4, 5]
