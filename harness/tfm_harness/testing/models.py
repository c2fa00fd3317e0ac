"""Small .tflite models made on the spot."""

from __future__ import annotations

from tfm_harness.parity.testkit import ModelBuilder, classifier, dense, remembers, two_in_two_out

__all__ = ["ModelBuilder", "classifier", "dense", "remembers", "two_in_two_out"]
