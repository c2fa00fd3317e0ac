"""Names in the order in which people look for them."""

from __future__ import annotations

import random

import pytest
from tfm_harness.order import natural


@pytest.mark.parametrize(
    "names",
    [
        ["virtual.1", "virtual.2", "virtual.10", "virtual.11"],
        ["", "1", "2", "10", "a", "a1", "a1b", "a2", "a10", "b"],
        ["mps3-9", "mps3-10", "mps3-10a", "mps4-1"],
        ["n9", "n" + "9" * 5000, "n1" + "0" * 5000],
    ],
)
def test_numbers_count_by_their_value(names: list[str]) -> None:
    for seed in range(5):
        mixed = list(names)
        random.Random(seed).shuffle(mixed)
        assert sorted(mixed, key=natural) == names


def test_what_is_no_plain_digit_is_text() -> None:
    assert sorted(["a²", "a٣", "a1"], key=natural) == ["a1", "a²", "a٣"]
    assert natural("board.02") == natural("board.2")
