"""Firmware that prints its results as decimal text: judged to the decimals that it prints."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Reference

pytestmark = pytest.mark.needs("infer", "printed-result")

INPUT_BYTES = 8_000
"""Bytes of input that go over the wire, as text and back: seconds at 115200 baud. At least a few inputs are sent."""
LEAST = 8


def test_printed_results_are_the_references(bench: Bench, reference: Reference) -> None:
    """Each input is read back before it is inferred; the report says how far three decimals see."""
    name = bench.description.model or ""
    _, info = reference.model(name)
    declared = bench.combination.build.parity
    said = "vectors" in declared.model_fields_set
    few = max(LEAST, INPUT_BYTES // max(info.input_bytes, 1))
    reference.printed(name, count=declared.vectors if said else min(few, declared.vectors))
