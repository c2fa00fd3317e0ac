"""Test suites that the firmware runs by itself and prints: TF-M regression, psa-arch-tests, ztest."""

from __future__ import annotations

import pytest
from tfm_harness import Bench


@pytest.mark.needs("console-suites")
def test_console_suite(bench: Bench, console_suite: str, request: pytest.FixtureRequest) -> None:
    """The suite runs to its end, and its own summary agrees with what was seen. Its cases follow, one item each."""
    from tfm_harness import run_console_suite

    run_console_suite(bench, console_suite, request.node)
