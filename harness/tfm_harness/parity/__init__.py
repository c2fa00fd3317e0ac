"""Numeric parity: does the device compute what the reference interpreter computes?

* `tfm_harness.parity.engines`: reference interpreters, each in its own process.
* `tfm_harness.parity.compare`: the judgement, pure: arrays in, findings out.
* `tfm_harness.parity.session`: thousands of vectors through a device's batch command.

The names below are imported on first use: numpy and the interpreters load when a test needs them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfm_harness.parity.compare import Comparison, compare
    from tfm_harness.parity.engines import ReferenceEngine, get_engine
    from tfm_harness.parity.frontend import window_records, window_tensor
    from tfm_harness.parity.quantise import dequantise, quantise
    from tfm_harness.parity.vacuity import check_vacuity
    from tfm_harness.parity.values import reference_values

_HOMES = {
    "compare": ("Comparison", "compare"),
    "engines": ("ReferenceEngine", "get_engine"),
    "frontend": ("window_records", "window_tensor"),
    "quantise": ("dequantise", "quantise"),
    "vacuity": ("check_vacuity",),
    "values": ("reference_values",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Comparison",
    "ReferenceEngine",
    "check_vacuity",
    "compare",
    "dequantise",
    "get_engine",
    "quantise",
    "reference_values",
    "window_records",
    "window_tensor",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


class _Package(ModuleType):
    """`compare` and `quantise` are functions for whoever imports them from here, and modules as well.

    The import system stores each imported submodule as an attribute of its package. Without this class, the function
    would become the module once anybody had imported the submodule.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
