"""A run's record in the formats that other systems read.

Each format is a pure function from a `RunRecord` to files. Text from a device is made safe, cut to the format's limits,
and never becomes markup or a command. A failure of the bench is never written as a failure of the product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tfm_harness.report.exports import csv_rows, github, junit, kcidb, lava, prometheus, squad
from tfm_harness.report.record import RunRecord

__all__ = ["FORMATS"]

FORMATS: Final[Mapping[str, Callable[[RunRecord], Mapping[str, str]]]] = MappingProxyType(
    {
        "squad": squad.files,
        "lava": lava.files,
        "kcidb": kcidb.files,
        "github": github.files,
        "junit": junit.files,
        "prometheus": prometheus.files,
        "csv": csv_rows.files,
    }
)
"""For each format, the function that makes its files: text by file name."""
