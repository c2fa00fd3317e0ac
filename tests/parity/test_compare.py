"""The comparison: each wrong device must fail, each right one pass, and the numbers must be right."""

from __future__ import annotations

import json
import math
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.findings import Policy, Report, Status
from tfm_harness.parity import catalogue, metrics, small_models
from tfm_harness.parity.compare import compare
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.tolerance import SUGGESTED, Tolerance, choose, tolerance_use
from tfm_harness.parity.vacuity import check_vacuity

INFO = parse_model(small_models.classifier(), name="classifier")


def outputs(count: int = 40, seed: int = 1) -> list[npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-100, 100, (count, 1, 10), dtype=np.int8) for _ in range(2)]


def ids(report: Report, *, passed: bool) -> list[str]:
    return [f.id for f in report if f.passed is passed]


def test_equal_outputs_pass() -> None:
    report = Report()
    result = compare(outputs(), outputs(), None, report, info=INFO)
    assert result.passed
    assert result.exact
    assert report.ok
    assert result.failing == ()
    assert [o.histogram for o in result.outputs] == [{0: 400}, {0: 400}]
    assert result.outputs[0].sqnr_db is None
    assert result.outputs[0].top1 == 1.0


def test_one_lsb_in_one_element_fails_and_is_located() -> None:
    device = outputs()
    device[1][7, 0, 3] += 1
    report = Report()
    result = compare(outputs(), device, None, report, info=INFO)
    assert not result.passed
    assert not report.ok
    (finding,) = report.failed
    assert finding.id == "parity.bit-exact"
    assert finding.subject == "classifier output 1"
    assert "op SOFTMAX; vector 7, index [0, 3]" in finding.where
    assert "1 of 400 elements differ (39 of 40 vectors exact), max 1 LSB" in finding.seen
    assert result.failing == (7,)
    assert result.outputs[1].histogram == {0: 399, 1: 1}


def test_no_vectors_fail() -> None:
    report = Report()
    empty = [np.empty((0, 1, 10), np.int8)] * 2
    assert not compare(empty, empty, None, report, info=INFO).passed
    assert ids(report, passed=False) == ["parity.something-compared"]
    report = Report()
    assert not compare([], [], None, report).passed
    assert not report.ok


@pytest.mark.parametrize(
    "device",
    [
        [np.zeros((40, 1, 10), np.int16)] * 2,
        [np.zeros((40, 1, 10), np.uint8)] * 2,
        [np.zeros((39, 1, 10), np.int8)] * 2,
        [np.zeros((40, 10), np.int8)] * 2,
        [np.zeros((40, 1, 10), np.int8)],
        [],
    ],
)
def test_other_forms_fail_and_no_waiver_excuses_them(device: list[npt.NDArray[Any]]) -> None:
    report = Report(policy=Policy.DEV)
    assert not compare([np.zeros((40, 1, 10), np.int8)] * 2, device, None, report, info=INFO).passed
    assert ids(report, passed=False) == ["parity.output-form"]
    assert not catalogue.OUTPUT_FORM.waivable


def tolerance(**changes: object) -> Tolerance:
    base = {"name": "t", "reason": "measured on this board", "op": "SOFTMAX", "max_lsb": 1, "max_share": 0.01}
    return Tolerance(**{**base, **changes})  # type: ignore[arg-type]  # fields by name


def test_tolerance_excuses_and_is_always_reported() -> None:
    device = outputs()
    device[1][7, 0, 3] += 1
    report = Report()
    result = compare(outputs(), device, [tolerance()], report, info=INFO)
    assert result.passed
    assert not result.exact
    assert result.outputs[0].tolerance == ""
    assert result.outputs[1].tolerance == "t"
    assert report.ok
    (noted,) = report.by_status(Status.NOTED)
    assert noted.id == "parity.tolerance-used"
    assert "measured on this board" in noted.seen


@pytest.mark.parametrize(
    ("difference", "elements", "why"),
    [(2, 1, "too large"), (-2, 1, "too large"), (1, 5, "too many")],
)
def test_tolerance_ends_where_it_says(difference: int, elements: int, why: str) -> None:
    device = outputs()
    device[1].reshape(-1)[:elements] += difference
    report = Report()
    assert not compare(outputs(), device, [tolerance()], report, info=INFO).passed, why
    assert "parity.within-tolerance" in [f.id for f in report.failed]


def test_tolerance_of_another_op_model_or_type_does_not_help() -> None:
    device = outputs()
    device[1][0, 0, 0] += 1
    others = [tolerance(op="FULLY_CONNECTED"), tolerance(model="other*"), tolerance(dtype="int16")]
    report = Report()
    assert not compare(outputs(), device, others, report, info=INFO).passed
    assert [f.id for f in report.failed] == ["parity.bit-exact"]


@pytest.mark.parametrize(
    ("granted", "models", "changed", "state"),
    [
        ({}, ["classifier"], True, "used"),
        ({"max_lsb": 1, "max_share": 0.0001}, ["classifier"], True, "used"),  # exceeded: it mattered
        ({}, ["classifier"], False, "unused"),  # bit-exact without it: it would hide the next difference
        ({"op": "TANH"}, ["classifier"], True, "unused"),  # speaks of no output
        ({"model": "other*"}, ["classifier"], True, "unused"),  # speaks of no model
        ({"model": "other*"}, ["classifier", "other-1"], True, "not judged"),  # its model was not compared
        ({"model": "*"}, ["classifier", "other-1"], False, "not judged"),
        ({"model": "*"}, ["classifier", "other-1"], True, "used"),
    ],
)
def test_what_became_of_a_tolerance(granted: dict[str, Any], models: list[str], changed: bool, state: str) -> None:
    device = outputs()
    if changed:
        device[1][0, 0, 3] += 1
    one = tolerance(**granted)
    sessions = [{"comparison": compare(outputs(), device, [one], Report(), info=INFO).as_dict()}]
    assert tolerance_use(one, sessions, models) == state


def test_tolerance_needs_reason_and_sane_limits() -> None:
    with pytest.raises(ValueError, match="no reason"):
        tolerance(reason="  ")
    with pytest.raises(ValueError, match="impossible"):
        tolerance(max_share=1.5)
    with pytest.raises(ValueError, match="impossible"):
        tolerance(abs=math.nan)


def test_suggested_tolerances_are_found_by_class() -> None:
    assert choose(SUGGESTED, model="ad01", op="FULLY_CONNECTED", dtype="int8") is SUGGESTED[0]
    assert choose(SUGGESTED, model="any", op="CONV_2D", dtype="int8") is None
    assert choose(SUGGESTED, model="any", op="CONV_2D", dtype="float32") is SUGGESTED[2]


def test_int16_extremes_do_not_wrap() -> None:
    report = Report()
    result = compare(np.array([[-32768]], np.int16), np.array([[32767]], np.int16), None, report)
    assert result.outputs[0].max_lsb == 65535
    assert result.outputs[0].histogram == {65535: 1}


FLOAT = Tolerance(name="f", reason="other order of additions", dtype="float32", abs=1e-6, rel=1e-4)


@pytest.mark.parametrize(
    ("reference", "device", "exact", "within"),
    [
        (1.0, 1.0, True, True),
        (1.0, 1.00009, False, True),
        (1.0, 1.0003, False, False),
        (0.0, 5e-7, False, True),
        (0.0, -0.0, False, True),
        (float("nan"), float("nan"), True, True),
        (1.0, float("nan"), False, False),
        (float("nan"), 1.0, False, False),
        (float("inf"), float("inf"), True, True),
        (float("inf"), 1e30, False, False),
        (1.0, float("inf"), False, False),
        (float("inf"), float("-inf"), False, False),
    ],
)
def test_float_rules(reference: float, device: float, exact: bool, within: bool) -> None:
    ref, dev = np.array([[reference, 2.0]], np.float32), np.array([[device, 2.0]], np.float32)
    assert compare(ref, dev, None, Report()).passed is exact
    assert compare(ref, dev, FLOAT, Report()).passed is within


def test_metrics_by_hand() -> None:
    ref, dev = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[3.0, 4.5], [0.0, 0.0]])
    assert metrics.sqnr_db(ref, dev) == pytest.approx(10 * math.log10(25 / 0.25))
    assert metrics.cosine(ref, dev)[1] == 1.0
    assert metrics.cosine(ref, dev)[0] == pytest.approx((9 + 18) / (5 * math.hypot(3, 4.5)))
    assert metrics.cosine(np.array([[1.0, 0.0]]), np.array([[0.0, 0.0]]))[0] == 0.0
    assert metrics.top1_agreement(np.array([[1, 2], [2, 1]]), np.array([[1, 2], [1, 2]])) == 0.5
    assert metrics.top1_agreement(np.array([[1], [2]]), np.array([[1], [2]])) is None


@pytest.mark.parametrize(
    ("reference", "device", "expected"),
    [
        ([0.0, 0.0], [0.0, 0.0], None),
        ([3.0, 4.0], [3.0, 4.0], None),
        ([0.0, 0.0], [0.0, 1.0], -math.inf),  # all noise
        ([3.0, 4.0], [3.0, math.nan], -math.inf),
        ([3.0, math.nan], [3.0, 4.0], -math.inf),
        ([3.0, math.inf], [3.0, -math.inf], -math.inf),
        ([3.0, math.inf, math.nan], [3.0, math.inf, math.nan], None),
        ([1e200, math.inf], [1e199, math.inf], -math.inf),  # overflows: no finite number describes it
        ([3.0, 4.0, math.inf], [3.0, 4.5, math.inf], 20.0),
    ],
)
def test_sqnr_never_looks_better_than_it_is(reference: list[float], device: list[float], expected: float) -> None:
    assert metrics.sqnr_db(np.array([reference]), np.array([device])) == pytest.approx(expected)


def test_metrics_against_an_independent_computation() -> None:
    """The same numbers in exact rational arithmetic, element by element."""
    rng = np.random.default_rng(11)
    ref = rng.integers(-128, 128, (40, 10), dtype=np.int8)
    dev = np.clip(ref + rng.integers(-1, 2, ref.shape) * (rng.random(ref.shape) < 0.2), -128, 127).astype(np.int8)
    result = compare(ref, dev, None, Report()).outputs[0]
    pairs = [(int(a), int(b)) for a, b in zip(ref.ravel(), dev.ravel(), strict=True)]
    signal, noise = sum(a * a for a, _ in pairs), sum((b - a) ** 2 for a, b in pairs)
    assert result.sqnr_db == pytest.approx(10 * math.log10(Fraction(signal, noise)))
    counted = Counter(b - a for a, b in pairs)
    assert result.histogram == counted
    assert result.exact_elements == counted[0]
    rows = [(list(map(int, a)), list(map(int, b))) for a, b in zip(ref, dev, strict=True)]
    assert result.exact_vectors == sum(a == b for a, b in rows)
    # Python's index() finds the first of equal largest elements, as TFLM's own examples do.
    assert result.top1 == pytest.approx(sum(a.index(max(a)) == b.index(max(b)) for a, b in rows) / len(rows))
    cosines = [
        sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
        for a, b in rows
    ]
    assert result.cosine_min == pytest.approx(min(cosines))
    assert result.cosine_mean == pytest.approx(sum(cosines) / len(cosines))
    first = next(i for i, (a, b) in enumerate(pairs) if a != b)
    assert result.first is not None
    assert (result.first.vector, result.first.index) == (first // 10, (first % 10,))
    assert (result.first.reference, result.first.device) == pairs[first]


def test_ties_in_top1_go_to_the_first() -> None:
    reference = np.array([[5, 9, 9], [7, 7, 1]], np.int8)
    assert metrics.top1_agreement(reference, np.array([[5, 9, 9], [7, 7, 1]], np.int8)) == 1.0
    assert metrics.top1_agreement(reference, np.array([[5, 8, 9], [6, 7, 1]], np.int8)) == 0.0


def test_the_record_is_strict_json() -> None:
    """A device that answers NaN, or anything where the reference has zero, has no finite relative error."""
    reference = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    device = np.array([[0.5, np.inf], [np.nan, 3.0]], np.float32)
    found = compare(reference, device, None, Report()).as_dict()
    text = json.dumps(found, allow_nan=False)
    output = json.loads(text)["outputs"][0]
    assert (output["max_abs"], output["max_rel"], output["sqnr_db"]) == ("inf", "inf", "-inf")
    nan = compare(reference[1:], device[1:], None, Report()).as_dict()
    assert json.loads(json.dumps(nan, allow_nan=False))["outputs"][0]["first"]["device"] == "nan"


def test_real_units_come_from_the_quantisation() -> None:
    device = outputs()
    device[0][0, 0, 0] += 2
    result = compare(outputs(), device, None, Report(), info=INFO)
    assert result.outputs[0].max_abs == pytest.approx(2 * 6.5, rel=1e-6)


def test_top1_cannot_see_what_bit_exactness_sees() -> None:
    reference = outputs()
    device = [o.copy() for o in reference]
    device[1][:, 0, :] = np.clip(device[1][:, 0, :].astype(int) + 1, -128, 127)
    result = compare(reference, device, None, Report(), info=INFO)
    assert result.outputs[1].top1 == 1.0
    assert not result.passed


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 8),
    st.sampled_from(["int8", "int16", "float32"]),
    st.data(),
)
def test_exact_exactly_when_bytes_are_equal(vectors: int, width: int, dtype: str, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=vectors * width * 4, max_size=vectors * width * 4))
    reference = np.frombuffer(raw, dtype=dtype)[: vectors * width].reshape(vectors, width)
    changed = bytearray(reference.tobytes())
    if data.draw(st.booleans()):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    device = np.frombuffer(bytes(changed), dtype=dtype).reshape(vectors, width)
    result = compare(reference, device, None, Report())
    assert result.passed is (bytes(changed) == reference.tobytes())
    assert bool(result.failing) is not result.passed
    assert result.as_dict()["model"] == "model"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"), (-3.0, "-3"), (0.5, "0.5"), (-0.25, "-0.25"), (1e15, "1e+15"),
        (999_999_999_999_999.0, "999999999999999"),
        (1 / 3, "0.333333333"), (float("inf"), "inf"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_a_difference_shows_numbers_as_they_are(value: float, shown: str) -> None:
    """Whole ones without a point, none of them cut to a whole one."""
    reference, device = np.array([[value, 1.0]]), np.array([[7.5, 1.0]])
    first = compare(reference, device, None, Report()).first
    assert first is not None
    assert shown in str(first).replace(",", " ").split()
    assert "7.5" in str(first)


def test_histogram_stays_bounded() -> None:
    reference = np.zeros((1, 40_000), np.int16)
    device = np.arange(-20_000, 20_000, dtype=np.int16)[np.newaxis]
    histogram = compare(reference, device, None, Report()).outputs[0].histogram
    assert len(histogram) <= 513
    assert sum(histogram.values()) == 40_000


@pytest.mark.parametrize(
    ("limits", "largest"),
    [({"abs": 0.5}, 0.5), ({"rel": 0.25}, 1.0), ({"of_largest": 0.125}, 2.0), ({"abs": 0.5, "rel": 0.25}, 1.5)],
)
def test_a_float_may_differ_by_its_limit_and_no_more(limits: dict[str, float], largest: float) -> None:
    """Of a reference of 4 in a vector whose largest is -16; powers of two, so that nothing is rounded."""
    tolerance = Tolerance(name="t", reason="r", dtype="float32", **limits)  # type: ignore[arg-type]  # fields by name
    reference = np.array([[4.0, -16.0]], np.float32)
    for sign in (1, -1):
        at = np.float32(4 + sign * largest)
        for value, right in ((at, True), (np.nextafter(at, np.float32(99 * sign)), False)):
            device = np.array([[value, -16.0]], np.float32)
            assert compare(reference, device, tolerance, Report()).passed is right, value


# --- vacuity ---------------------------------------------------------------------------------------


def vacuity(inputs: npt.NDArray[Any], results: npt.NDArray[Any], **limits: float) -> list[str]:
    report = Report()
    check_vacuity([inputs], [results], report, **limits)  # type: ignore[arg-type]  # int or float by name
    return ids(report, passed=False)


def test_diverse_vectors_pass() -> None:
    rng = np.random.default_rng(3)
    assert vacuity(rng.integers(-128, 128, (50, 4), np.int8), rng.integers(-100, 100, (50, 3), np.int8)) == []


def test_few_distinct_outputs_are_a_finding() -> None:
    rng = np.random.default_rng(3)
    inputs = rng.integers(-128, 128, (50, 4), np.int8)
    results = np.repeat(np.arange(10, dtype=np.int8), 5)[:, np.newaxis]
    assert vacuity(inputs, results) == ["parity.distinct-outputs"]
    assert vacuity(inputs, results, min_distinct=10) == []


def test_saturated_outputs_are_a_finding() -> None:
    rng = np.random.default_rng(3)
    inputs = rng.integers(-128, 128, (64, 4), np.int8)
    bits = (np.arange(64)[:, np.newaxis] >> np.arange(6)) & 1
    assert vacuity(inputs, np.where(bits == 1, 127, -128).astype(np.int8)) == ["parity.saturated-outputs"]


@pytest.mark.parametrize("count", [0, 31, 32, 33, 64])
def test_so_many_vectors_may_be_saturated_and_no_more(count: int) -> None:
    results = np.stack((np.arange(64), np.arange(64)[::-1]), axis=1).astype(np.int8)
    results[:count] = np.where(np.arange(2 * count).reshape(count, 2) % 3 == 0, 127, -128)
    inputs = np.arange(128, dtype=np.int8).reshape(64, 2)
    found = vacuity(inputs, results, max_saturated=0.5, min_distinct=1)
    assert found == (["parity.saturated-outputs"] if count > 32 else [])


def test_constant_inputs_are_a_finding() -> None:
    results = np.arange(50, dtype=np.int8)[:, np.newaxis]
    assert vacuity(np.zeros((50, 4), np.int8), results) == ["parity.constant-inputs"]


def test_a_single_vector_is_vacuous() -> None:
    one = np.array([[1, 2]], np.int8)
    assert vacuity(one, one) == ["parity.distinct-outputs", "parity.constant-inputs"]


def test_a_share_of_the_largest_value_is_that_of_its_own_vector() -> None:
    reference = np.array([[100.0, 0.0], [1.0, 0.0]], np.float32)
    near = Tolerance(name="order", reason="order of additions", dtype="float32", of_largest=1e-3)
    for device, passes in (
        ([[100.0, 0.09], [1.0, 0.0]], True),
        ([[100.0, 0.11], [1.0, 0.0]], False),
        ([[100.0, 0.0], [1.0, 0.09]], False),  # the other vector's largest value excuses nothing here
        ([[100.0, 0.0], [1.0, float("nan")]], False),
    ):
        assert compare([reference], [np.array(device, np.float32)], near, Report()).passed is passes
    broken = np.array([[float("inf"), 0.0]], np.float32)
    assert not compare([broken], [np.array([[float("inf"), 1.0]], np.float32)], near, Report()).passed
