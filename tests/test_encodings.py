"""Text of others that should be a number."""

from __future__ import annotations

import pytest
from tfm_harness.encodings import whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_a_number(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1\n", "1_0", "²", "٣", "½", "1e3", "0x1", "9" * 19, "9" * 5000]
)
def test_no_number(text: str) -> None:
    assert whole_number(text) is None
