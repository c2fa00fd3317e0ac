"""What a reference engine of a package looks like: the entry-point group ``tfm_harness.engines``.

The harness runs it in a process of its own, with a limit on time and memory. It must not import the harness there:
the process may run with another Python.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy.typing as npt

__all__ = ["EngineAdapter"]


class EngineAdapter(Protocol):
    """An interpreter of .tflite models. The class of the entry point takes no arguments.

    Before it may judge anything, it must give the known answers of ``tfm_harness.parity.selftest`` bit for bit.
    A method that raises an exception refuses the model: nothing is then judged with it.

    The class is made once, and each model is loaded and run in a fork of that process: start no thread before `load`.

    Attributes:
        record: ``{"version": ..., "resolver": ...}``: both stand in every result.
        partial: it runs some kinds of models only, and raises an exception for the others.
    """

    record: Mapping[str, str]
    partial: ClassVar[bool]

    def load(self, model: bytes) -> Any:  # noqa: ANN401 - the engine's own object
        """The model, ready to run; given to the other methods."""

    def details(self, loaded: Any) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:  # noqa: ANN401 - same
        """Inputs and outputs in the file's order, each with ``shape`` and ``dtype``; anything else is kept as well."""

    def invoke(self, loaded: Any, inputs: Sequence[tuple[Mapping[str, Any], npt.NDArray[Any]]]) -> None:  # noqa: ANN401 - same
        """Run once. `inputs`: each input's details, with its value in its shape and type."""

    def output(self, loaded: Any, detail: Mapping[str, Any], position: int) -> npt.NDArray[Any]:  # noqa: ANN401 - same
        """The value of output number `position` after the last run."""
