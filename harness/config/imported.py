"""Facts that a build importer wrote down: the model of a build's ``imported`` key."""

from __future__ import annotations

from harness.config.fields import Strict

__all__ = ["ImportedFacts"]


class ImportedFacts(Strict):
    """Where an imported build came from."""

    source: str = ""
    """What it was imported from: ``tf-m``, ``zephyr``, ..."""
    version: str = ""
    """Version of that source, as its build says it."""
