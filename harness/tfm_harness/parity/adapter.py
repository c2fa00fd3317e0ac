"""The interface of a reference engine in a package: the entry-point group ``tfm_harness.engines``.

The harness runs the engine in a separate process, with a limit on time and memory. The engine must not import the
harness: the process may run with another Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy.typing as npt

__all__ = ["EngineAdapter"]


class EngineAdapter(Protocol):
    """An interpreter of .tflite models. The class of the entry point takes no arguments.

    Before it may judge anything, it must give the known answers of ``tfm_harness.parity.selftest`` bit for bit.
    A method that raises an exception refuses the model: then the engine judges nothing with that model.

    The class is made once, and each model is loaded and run in a fork of that process: start no thread before `load`.

    Attributes:
        record: ``{"version": ..., "resolver": ...}``: every result holds both.
        partial: whether it runs only some kinds of models, and raises an exception for the others.
    """

    record: Mapping[str, str]
    partial: ClassVar[bool]

    def load(self, model: bytes) -> Any:  # noqa: ANN401 - the engine's own object
        """The model, ready to run; the harness gives this object to the other methods."""

    def details(self, loaded: Any) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:  # noqa: ANN401 - same
        """Inputs and outputs in the file's order, each with ``shape`` and ``dtype``; further keys are kept as well."""

    def invoke(self, loaded: Any, inputs: Sequence[tuple[Mapping[str, Any], npt.NDArray[Any]]]) -> None:  # noqa: ANN401 - same
        """Run once. `inputs` are pairs of an input's details and its value, which has the input's shape and type."""

    def output(self, loaded: Any, detail: Mapping[str, Any], position: int) -> npt.NDArray[Any]:  # noqa: ANN401 - same
        """The value of output number `position` after the last run."""
