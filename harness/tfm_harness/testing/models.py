"""Small .tflite models made when they are needed."""

from __future__ import annotations

from tfm_harness.parity.small_models import classifier, dense, remembers, two_in_two_out
from tfm_harness.parity.testkit import ModelBuilder

__all__ = ["ModelBuilder", "classifier", "dense", "remembers", "two_in_two_out"]
