"""What a series says it was measured on."""

from __future__ import annotations

import pytest
from tfm_harness.latency.series import series_board


@pytest.mark.parametrize(
    ("board", "target", "count", "virtual", "expected"),
    [
        ("an547.2", "an547", 2, True, "an547"),
        ("an547.12", "an547", 12, True, "an547"),
        ("an547", "an547", 1, True, "an547"),
        ("an547.5", "an547.5", 1, True, "an547.5"),  # a target's own name
        ("an547.5", "an547", 1, True, "an547.5"),  # no pool
        ("an547.x", "an547", 2, True, "an547.x"),  # no number
        ("an547.", "an547", 2, True, "an547."),
        ("2", "an547", 2, True, "2"),  # a number alone
        ("an5472", "an547", 2, True, "an5472"),
        ("place.2", "place", 2, False, "place.2"),  # real boards differ
        ("other", "an547", 2, True, "other"),
    ],
)
def test_what_a_series_is_measured_on(board: str, target: str, count: int, virtual: bool, expected: str) -> None:
    """Only what differs in nothing but the number within an emulated pool is measured on one thing."""
    assert series_board(board, target, count, virtual=virtual) == expected
