"""The trace command of a device, also of one that gives traces in another lifecycle only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from tfm_harness.bench.device import Device
from tfm_harness.boards.base import ResetKind
from tfm_harness.protocol.base import Description, Feature
from tfm_harness.protocol.smp.test_commands import TRACE_LIFECYCLE

if TYPE_CHECKING:
    from tfm_harness.parity.firstop import DeviceTrace
    from tfm_harness.protocol.smp.client import SmpDriver

__all__ = ["Runner", "device_trace"]


class Runner(Protocol):
    """What runs batches on the device and starts it again; `tfm_harness.bench.live.LiveCombination` does."""

    @property
    def device(self) -> Device:
        """See `LiveCombination`, as for the rest."""
        ...

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Features that are wanted and not there."""

    def reset(self, kind: ResetKind) -> Description:
        """Reset, and wait until the firmware answers."""

    def select_again(self, model: str | None) -> None:
        """Make a model the active one."""

    def provisioned(self, lifecycle: int) -> AbstractContextManager[None]:
        """For the block, the board in another lifecycle."""

    def progress(self, what: str) -> Callable[[int, int], None]:
        """What to call with pieces done and pieces in all."""


class _LateTrace:
    """The trace command of a board that gives none in its lifecycle: started in one that does at the first use."""

    def __init__(self, runner: Runner, stack: contextlib.ExitStack) -> None:
        self._runner, self._stack, self._ready = runner, stack, False

    def _test_commands(self) -> SmpDriver:
        if not self._ready:
            self._stack.enter_context(self._runner.provisioned(TRACE_LIFECYCLE))
            self._ready = True
        return self._runner.device.test_commands

    def trace(self, data: bytes) -> Sequence[tuple[int, int, int, int]]:
        """See `DeviceTrace`."""
        return self._test_commands().trace(data)

    def trace_output(self, data: bytes, op: int) -> bytes:
        """See `DeviceTrace`."""
        return self._test_commands().trace_output(data, op)


def device_trace(runner: Runner, stack: contextlib.ExitStack) -> DeviceTrace | None:
    """The device's trace command; on a virtual board that must first be started in another lifecycle, when used."""
    if not runner.missing(["trace"]):
        return runner.device.test_commands
    # A firmware that gives traces says so only in the lifecycle in which it does.
    late = Feature.TRACE in runner.device.client.features and not runner.missing(["provision"])
    return _LateTrace(runner, stack) if late else None
