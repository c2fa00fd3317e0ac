"""Words that changed, and some of many states."""

from __future__ import annotations

import pytest
from tfm_harness.testing import changed_words, spread


@pytest.mark.parametrize(
    ("count", "most", "wanted"),
    [(0, 3, []), (1, 3, [0]), (3, 3, [0, 1, 2]), (4, 2, [0, 3]), (9, 3, [0, 4, 8]), (100, 4, [0, 33, 66, 99])],
)
def test_the_ends_are_among_them(count: int, most: int, wanted: list[int]) -> None:
    assert list(spread(count, most)) == wanted


def test_first_last_and_one_between_of_each_page() -> None:
    before = bytes(64)
    after = bytes([1]) + bytes(11) + bytes([1]) * 16 + bytes(4) + bytes(16) + bytes(15) + bytes([1])
    assert changed_words(before, after, 0x1000, page=32) == [0x1000, 0x1000 + 16, 0x1000 + 24, 0x1000 + 60]
    assert changed_words(before, after, 0, page=64) == [0, 16, 60]
    assert changed_words(before, before, 0, page=16) == []
