"""How values are compared and shown in findings."""

from __future__ import annotations

import pytest
from tfm_harness.verify.judge import matches, show


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\x01\xff", "01ff"),
        (7, "7"),
        ("text", "'text'"),
        (frozenset({3, 1}), "1 or 3"),
        (frozenset({b"\x02", b"\x01"}), "01 or 02"),
        (frozenset[int](), ""),
        ("x" * 500, "'" + "x" * 119),
    ],
)
def test_values_are_shown_in_short(value: object, shown: str) -> None:
    assert show(value) == shown


@pytest.mark.parametrize(
    ("seen", "wanted", "right"),
    [
        (1, 1, True),
        (1, 2, False),
        (True, 1, False),  # of another type
        (1, True, False),
        (1.0, 1, False),
        (b"1", "1", False),
        (None, None, True),
        (2, frozenset({1, 2}), True),
        (3, frozenset({1, 2}), False),
        (True, frozenset({1, 2}), False),
        (1, frozenset[int](), False),
    ],
)
def test_values_match_when_their_types_do(seen: object, wanted: object, *, right: bool) -> None:
    assert matches(seen, wanted) is right
