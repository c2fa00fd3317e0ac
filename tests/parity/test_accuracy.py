"""Labelled data: matrices, areas, and whose mistake it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfm_harness.errors import ConfigError
from tfm_harness.findings import Report
from tfm_harness.parity.accuracy import area_under_curve, check_accuracy, confusion_matrix
from tfm_harness.parity.dataset import input_bytes, read_dataset, tensors_of, wire_of
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.quantise import QuantisationRule
from tfm_harness.testing import dense

INFO = parse_model(dense(), name="dense")
TRUTH = [0, 1, 2, 0, 1, 2]
RIGHT = np.eye(3)[TRUTH]
WRONG = np.eye(3)[[1, 2, 0, 1, 2, 0]]


def judged(device: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]) -> dict[str, tuple[bool, str]]:
    report = Report()
    check_accuracy(TRUTH, device, reference, report, model="m", least=0.9)
    return {f.check.id: (f.passed, str(f.seen)) for f in report.findings}


def test_a_right_device_of_a_right_model_passes() -> None:
    assert all(passed for passed, _ in judged(RIGHT, RIGHT).values())


def test_a_bit_exact_and_wrong_model_is_named() -> None:
    found = judged(WRONG, WRONG)
    assert found["accuracy.same-decisions"][0]
    assert not found["accuracy.device"][0]
    assert not found["accuracy.model"][0]
    assert "bit-exact and wrong" in found["accuracy.model"][1]


def test_a_wrong_device_of_a_right_model_is_the_devices_fault() -> None:
    found = judged(WRONG, RIGHT)
    assert found["accuracy.model"][0]
    assert not found["accuracy.device"][0]
    assert not found["accuracy.same-decisions"][0]


def test_a_lucky_device_of_a_wrong_model_hides_nothing() -> None:
    found = judged(RIGHT, WRONG)
    assert found["accuracy.device"][0]
    assert not found["accuracy.model"][0]
    assert not found["accuracy.same-decisions"][0]


def test_two_scores_that_print_alike_are_no_other_decision() -> None:
    """%0.3f made 0.5002 and 0.5001 the same: the first of the two is nobody's decision."""
    reference = np.array([[0.5001, 0.5002, 0.1]] * 6)
    printed = reference.round(3)
    for as_text, alike in ((True, 6), (False, 0)):
        report = Report()
        found = check_accuracy([1] * 6, printed, reference, report, model="m", least=0.9, printed=as_text)
        assert found.alike == alike
        assert (not report.failed) == as_text
    constant = np.zeros((6, 3))  # prints the same for every class: right about nothing
    assert check_accuracy([1] * 6, constant, reference, Report(), model="m", printed=True).alike == 0
    other = np.array([[0.501, 0.5, 0.1]] * 6)
    assert check_accuracy([1] * 6, other, reference, Report(), model="m", printed=True).alike == 0


def test_equal_accuracy_hides_no_other_decisions() -> None:
    one, other = RIGHT.copy(), RIGHT.copy()
    one[0], other[1] = np.eye(3)[2], np.eye(3)[0]
    report = Report()
    found = check_accuracy(TRUTH, one, other, report, model="m", names=list("abcdef"))
    assert found.device == found.reference
    assert found.alike == 4
    assert found.differing == ("a", "b")
    assert [f.passed for f in report.findings] == [False]


def test_a_matrix_counts_by_true_and_decided_class() -> None:
    assert confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist() == [[1, 1], [0, 1]]
    with pytest.raises(ValueError, match="outside"):
        confusion_matrix([2], [0], 2)


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_the_area_is_how_often_a_true_sample_scores_higher(samples: list[tuple[bool, int]]) -> None:
    positives = [score for true, score in samples if true]
    negatives = [score for true, score in samples if not true]
    truth, scores = zip(*samples, strict=True)
    if not positives or not negatives:
        with pytest.raises(ValueError, match="two classes"):
            area_under_curve(truth, scores)
        return
    pairs = [(p > n) + (p == n) / 2 for p in positives for n in negatives]
    assert area_under_curve(truth, scores) == pytest.approx(sum(pairs) / len(pairs))


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        area_under_curve([0, 1], [0.0, float("nan")])


# --- data sets


def folder(tmp_path: Path, lines: str, size: int = 16) -> Path:
    (tmp_path / "y_labels.csv").write_text(lines)
    (tmp_path / "a.bin").write_bytes(bytes(size))
    return tmp_path


def test_samples_with_their_labels(tmp_path: Path) -> None:
    found = read_dataset(folder(tmp_path, "a.bin,3,2\n\na.bin, 3, 0\n"), "y_labels.csv", 16)
    assert [(s.name, s.label, len(s.parts)) for s in found] == [("a.bin", 2, 1), ("a.bin", 0, 1)]


def test_labels_as_spreadsheets_write_them(tmp_path: Path) -> None:
    found = read_dataset(folder(tmp_path, "a.bin;3;2\r\na.bin;3;0\r\n"), "y_labels.csv", 16)
    assert [sample.label for sample in found] == [2, 0]
    with pytest.raises(ConfigError, match=r"are no CSV|another form"):
        read_dataset(folder(tmp_path, "a\rb\0,1"), "y_labels.csv", 16)
    with pytest.raises(ConfigError, match="are no CSV"):
        read_dataset(folder(tmp_path, "a" * 200_000), "y_labels.csv", 16)


def test_windows_of_a_file_are_inputs_of_their_own(tmp_path: Path) -> None:
    (sample,) = read_dataset(folder(tmp_path, "a.bin,2,1,16,4\n", size=30), "y_labels.csv", 16)
    assert [len(part) for part in sample.parts] == [16] * 4


def test_fewer_samples_are_spread_over_the_file(tmp_path: Path) -> None:
    lines = "".join(f"a.bin,9,{n}\n" for n in range(9))
    assert [s.label for s in read_dataset(folder(tmp_path, lines), "y_labels.csv", 16, samples=3)] == [0, 3, 6]


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ("", "none"),
        ("a.bin,3\n", "a.bin,3"),
        ("a.bin,3,-1\n", "-1"),
        ("a.bin,3,3\n", "class 3 of 3"),
        ("a.bin,5000,3\n", "class 3 of 5000"),
        ("../../etc/passwd,3,1\n", "passwd"),
        ("b.bin,3,1\n", "b.bin"),
        ("a.bin,3,1,0,4\n", "0, 4"),
        ("a.bin,3,1,40,4\n", "16 bytes"),
        ("a.bin,3,1,8,4\n", "8 bytes"),
        ("a.bin,3,one\n", "one"),
    ],
)
def test_a_data_set_of_another_form_is_refused_with_its_line(tmp_path: Path, lines: str, seen: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_dataset(folder(tmp_path, lines), "y_labels.csv", 16)
    assert caught.value.kind == "dataset"
    assert seen in (caught.value.seen or "")
    assert "y_labels.csv" in (caught.value.where or "")


def test_a_missing_labels_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_dataset(tmp_path, "y_labels.csv", 16)


@pytest.mark.parametrize("taken", ["tensor", "uint8", "float32"])
def test_what_a_firmware_takes_becomes_the_tensor_again(taken: str) -> None:
    tensors = np.random.default_rng(1).integers(-128, 128, (5, 1, 16)).astype(np.int8)
    wire = wire_of(tensors, INFO, taken)  # type: ignore[arg-type]
    assert {len(each) for each in wire} == {input_bytes(INFO, taken)}  # type: ignore[arg-type]
    again = tensors_of(wire, INFO, taken, QuantisationRule.ROUND)  # type: ignore[arg-type]
    assert (again == tensors).all()


def test_unsigned_bytes_are_shifted_by_128() -> None:
    assert tensors_of([bytes([0, 128, 255] + [1] * 13)], INFO, "uint8", QuantisationRule.ROUND)[0, 0, :3].tolist() == [
        -128, 0, 127
    ]  # fmt: skip
