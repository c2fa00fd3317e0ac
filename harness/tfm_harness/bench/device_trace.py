"""The trace command of a device, also of one that gives traces only in another lifecycle."""

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
    """Runs batches on the device and starts it again, as `tfm_harness.bench.live.LiveCombination` does."""

    @property
    def device(self) -> Device:
        """See `LiveCombination`, also for the other members."""
        ...

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """The wanted features that are missing."""

    def reset(self, kind: ResetKind) -> Description:
        """Reset, and wait until the firmware answers."""

    def select_again(self, model: str | None) -> None:
        """Make a model the active one."""

    def provisioned(self, lifecycle: int) -> AbstractContextManager[None]:
        """Start the board in another lifecycle for the block."""

    def progress(self, what: str) -> Callable[[int, int], None]:
        """A function to be called with the number of done pieces, and of all."""


class _LateTrace:
    """The trace command of a board that gives no traces in its lifecycle: the first use starts it in one that does."""

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
    """The device's trace command; its first use may start a virtual board in another lifecycle. None without traces."""
    if not runner.missing(["trace"]):
        return runner.device.test_commands
    # Firmware lists the feature only in a lifecycle in which it gives traces.
    late = Feature.TRACE in runner.device.client.features and not runner.missing(["provision"])
    return _LateTrace(runner, stack) if late else None
