"""Labelled data: how right the device is, beside the reference. A model can be bit-exact and wrong."""

from __future__ import annotations

import pytest
from tfm_harness import Bench, Reference

pytestmark = pytest.mark.needs("infer", "dataset")


@pytest.mark.needs("batch", "models")
def test_the_device_is_as_right_as_the_build_asks_for(reference: Reference, build_model: str) -> None:
    reference.accuracy(build_model)


@pytest.mark.needs("printed-result")
def test_the_printed_decisions_are_as_right_as_the_build_asks_for(bench: Bench, reference: Reference) -> None:
    reference.accuracy(bench.description.model or "")
