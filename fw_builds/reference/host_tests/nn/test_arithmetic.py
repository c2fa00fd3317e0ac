"""The integer arithmetic against exact rational formulas, and the front-end in C against the one in Python."""

from __future__ import annotations

import ctypes
import math
from fractions import Fraction

import numpy as np
import pytest
from engines import BUILD
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_frontend import BIAS, SHIFT, quantise_window

int32 = st.integers(-(2**31), 2**31 - 1)


@pytest.fixture(scope="module")
def arithmetic() -> ctypes.CDLL:
    library = ctypes.CDLL(str(BUILD / "nn_arithmetic.so"))
    library.test_sensor_quantize.restype = ctypes.c_int8
    return library


def nearest(value: Fraction) -> float:
    """To the nearest integer, ties away from zero."""
    return math.copysign(1, value) * math.floor(abs(value) + Fraction(1, 2))


@settings(max_examples=400, deadline=None)
@given(a=int32, b=int32)
def test_high_mul(arithmetic: ctypes.CDLL, a: int, b: int) -> None:
    # gemmlowp's definition: nudge by half away from zero (a negative tie falls one short of it), then truncate.
    product = a * b
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    expected = min(abs(nudged) // 2**31 * (1 if nudged >= 0 else -1), 2**31 - 1)
    assert arithmetic.test_high_mul(a, b) == expected


@settings(max_examples=400, deadline=None)
@given(x=int32, exponent=st.integers(0, 31))
def test_divide_by_pot_rounds_to_nearest_away_from_zero(arithmetic: ctypes.CDLL, x: int, exponent: int) -> None:
    assert arithmetic.test_divide_by_pot(x, exponent) == nearest(Fraction(x, 2**exponent))


@settings(max_examples=400, deadline=None)
@given(real=st.floats(min_value=2.0**-31, max_value=2.0**29))
def test_quantize_multiplier_is_frexp(arithmetic: ctypes.CDLL, real: float) -> None:
    multiplier, shift = ctypes.c_int32(), ctypes.c_int32()
    assert (
        arithmetic.test_quantize_multiplier(ctypes.c_double(real), ctypes.byref(multiplier), ctypes.byref(shift)) == 0
    )
    fraction, exponent = math.frexp(real)
    expected = int(nearest(Fraction(fraction) * 2**31))
    if expected == 2**31:
        expected, exponent = 2**30, exponent + 1
    assert (multiplier.value, shift.value) == (expected, exponent)


@pytest.mark.parametrize("real", [math.inf, math.nan, -1.0, -0.0, 2.0**31, 1e300])
def test_quantize_multiplier_refuses(arithmetic: ctypes.CDLL, real: float) -> None:
    multiplier, shift = ctypes.c_int32(), ctypes.c_int32()
    assert arithmetic.test_quantize_multiplier(ctypes.c_double(real), ctypes.byref(multiplier), ctypes.byref(shift))


@pytest.mark.parametrize("real", [0.0, 5e-324, 2.0**-40])
def test_quantize_multiplier_flushes_to_zero(arithmetic: ctypes.CDLL, real: float) -> None:
    multiplier, shift = ctypes.c_int32(-1), ctypes.c_int32(-1)
    assert not arithmetic.test_quantize_multiplier(ctypes.c_double(real), ctypes.byref(multiplier), ctypes.byref(shift))
    assert (multiplier.value, shift.value) == (0, 0)


@settings(max_examples=300, deadline=None)
@given(x=st.integers(-(2**20), 2**20), multiplier=st.integers(2**30, 2**31 - 1), shift=st.integers(-20, 8))
def test_multiply_is_within_one_of_the_real_product(
    arithmetic: ctypes.CDLL, x: int, multiplier: int, shift: int
) -> None:
    real = Fraction(x * multiplier) * Fraction(2) ** (shift - 31)
    assert abs(arithmetic.test_multiply(x, multiplier, shift) - real) <= 1


def test_front_end_equals_python_for_every_count(arithmetic: ctypes.CDLL) -> None:
    counts = np.arange(-32768, 32768)
    expected = quantise_window(np.repeat(counts[:, None], 4, axis=1))
    for channel in (0, 3):
        bias, shift = int(BIAS[channel]), int(SHIFT[channel])
        seen = [arithmetic.test_sensor_quantize(int(raw), bias, shift) for raw in counts]
        np.testing.assert_array_equal(seen, expected[:, channel])


def test_front_end_sample_order(arithmetic: ctypes.CDLL) -> None:
    raw = (ctypes.c_int16 * 4)(644, 648, 632, 404)
    out = (ctypes.c_int8 * 4)()
    arithmetic.test_sensor_sample(raw, out)
    assert list(out) == [1, 2, -2, 2]


@pytest.mark.parametrize(("raw", "q"), [(640, 0), (641, 0), (642, 1), (638, 0), (637, -1), (0, -128), (2047, 127)])
def test_front_end_rounds_half_up_and_saturates(raw: int, q: int) -> None:
    assert quantise_window(np.array([[raw, raw, raw, 400]]))[0].tolist() == [q, q, q, 0]


def test_front_end_refuses_wrong_windows() -> None:
    with pytest.raises(ValueError, match="last axis"):
        quantise_window(np.zeros((32, 3), dtype=np.int16))
    with pytest.raises(ValueError, match="int16"):
        quantise_window(np.full((32, 4), 40000))
