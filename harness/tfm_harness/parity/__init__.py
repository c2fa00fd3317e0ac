"""Numeric parity: does the device compute the same numbers as the reference interpreter?

* `tfm_harness.parity.engines`: reference interpreters, each in its own process.
* `tfm_harness.parity.compare`: the judgement, pure: arrays in, findings out.
* `tfm_harness.parity.session`: thousands of vectors through a device's batch command.

The names below are imported on first use: numpy and the interpreters load when a test needs them.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from tfm_harness.lazy import lazy_exports

if TYPE_CHECKING:
    from tfm_harness.parity.adapter import EngineAdapter
    from tfm_harness.parity.compare import Comparison, compare
    from tfm_harness.parity.engine_choice import get_engine
    from tfm_harness.parity.engines import ReferenceEngine
    from tfm_harness.parity.frontend import window_records, window_tensor
    from tfm_harness.parity.quantise import dequantise, quantise
    from tfm_harness.parity.vacuity import check_vacuity
    from tfm_harness.parity.values import interpreted_values, read_table, reference_values

_HOMES = {
    "adapter": ("EngineAdapter",),
    "compare": ("Comparison", "compare"),
    "engine_choice": ("get_engine",),
    "engines": ("ReferenceEngine",),
    "frontend": ("window_records", "window_tensor"),
    "quantise": ("dequantise", "quantise"),
    "vacuity": ("check_vacuity",),
    "values": ("interpreted_values", "read_table", "reference_values"),
}
_NAMES = {name for names in _HOMES.values() for name in names}

__all__ = [
    "Comparison",
    "EngineAdapter",
    "ReferenceEngine",
    "check_vacuity",
    "compare",
    "dequantise",
    "get_engine",
    "interpreted_values",
    "quantise",
    "read_table",
    "reference_values",
    "window_records",
    "window_tensor",
]

__getattr__, __dir__ = lazy_exports(__name__, _HOMES)


class _Package(ModuleType):
    """Makes `compare` and `quantise` functions for those who import them from here, although modules have these names.

    The import system stores each imported submodule as an attribute of its package. Without this class, the function
    would be replaced by the module as soon as the submodule was imported.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _NAMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
