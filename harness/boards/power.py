"""Switching power: commands, USB hub ports and power distribution units behind one small interface."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Protocol, TypeVar

from harness.boards.base import PowerState
from harness.boards.tools import run_words
from harness.config.power import CommandPower, PduPower, PowerConfig, UsbHubPower
from harness.errors import BenchError

__all__ = ["PowerControl", "cycle", "make_power"]


_T = TypeVar("_T")


class PowerControl(Protocol):
    """Off, on, and what the bench believes."""

    def set(self, state: PowerState) -> None:
        """Switch to `ON` or `OFF`. Raises `BenchError`."""

    def state(self) -> PowerState:
        """The state as the switch reports it, `UNKNOWN` where it cannot."""


def make_power(config: PowerConfig) -> PowerControl:
    """The control for a target's ``power`` key."""
    match config:
        case CommandPower():
            return CommandSwitch(config)
        case UsbHubPower():
            return UsbHubSwitch(config)
        case PduPower():
            return PduSwitch(config)


def cycle(control: PowerControl, off_seconds: float, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Off, wait, on; checks what the switch reports after each step.

    Args:
        control: the switch.
        off_seconds: how long the supply must be off for the board's capacitors to empty.
        wait: how to let that time pass.

    Raises:
        BenchError: kind ``power-stuck`` when the switch reports another state than asked for.
    """
    for state in (PowerState.OFF, PowerState.ON):
        control.set(state)
        seen = control.state()
        if seen not in {state, PowerState.UNKNOWN}:
            raise BenchError(
                f"power did not switch {state}",
                kind="power-stuck",
                expected=state.value,
                seen=seen.value,
                hint="look at the switch: a blown relay, a wrong outlet, or somebody else's control",
            )
        if state is PowerState.OFF:
            wait(off_seconds)


class CommandSwitch:
    """Power by the user's own commands."""

    def __init__(self, config: CommandPower) -> None:
        self._config = config

    def set(self, state: PowerState) -> None:
        """Run the ``on`` or ``off`` command."""
        run_words(
            self._config.on if state is PowerState.ON else self._config.off, self._config.timeout, "to switch power"
        )

    def state(self) -> PowerState:
        """What the ``state`` command prints."""
        if self._config.state is None:
            return PowerState.UNKNOWN
        words = run_words(self._config.state, self._config.timeout, "to read the power state").split()
        if len(words) == 1 and words[0].lower() in {"on", "off"}:
            return PowerState(words[0].lower())
        raise BenchError(
            "the power state command printed something else",
            kind="power-failed",
            expected="on or off",
            seen=" ".join(words)[:200] or "nothing",
            where=" ".join(self._config.state),
            hint="correct `power.state` in the target's YAML",
        )


class UsbHubSwitch:
    """A USB hub port by uhubctl (its output lines ``Port N: SSSS power ...``)."""

    def __init__(self, config: UsbHubPower) -> None:
        self._config = config

    def _uhubctl(self, *more: str) -> str:
        place = ("-l", self._config.location, "-p", str(self._config.port))
        return run_words(("uhubctl", *place, *more), self._config.timeout, "to switch a USB hub port")

    def set(self, state: PowerState) -> None:
        """Switch the port."""
        self._uhubctl("-a", state.value)

    def state(self) -> PowerState:
        """``power`` stands in the port's flags when it is on, ``off`` when it is not."""
        marker = f"Port {self._config.port}:"
        lines = [line.split(marker, 1)[1].split() for line in self._uhubctl().splitlines() if marker in line]
        for words in lines:
            if "power" in words[1:]:
                return PowerState.ON
            if "off" in words[1:]:
                return PowerState.OFF
        return PowerState.UNKNOWN


class PduSwitch:
    """A PDU through labgrid's power back ends (``power_set``/``power_get`` functions)."""

    def __init__(self, config: PduPower) -> None:
        self._config = config

    def _backend(self) -> ModuleType:
        import importlib

        name = f"labgrid.driver.power.{self._config.model}"
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or name
            raise BenchError(
                f"no power back end {self._config.model!r}",
                kind="tool-missing",
                expected=f"labgrid with {name}",
                seen=f"no module {missing}",
                hint="pip install 'tfm-harness[labgrid]'"
                if missing.partition(".")[0] == "labgrid" and missing != name
                else "use one of labgrid's model names (labgrid/driver/power/)",
            ) from error

    def _call(self, function: Callable[..., _T], *arguments: object) -> _T:
        try:
            return function(*arguments)
        except Exception as error:  # a back end raises whatever its library does
            raise BenchError(
                f"the power switch {self._config.host} does not obey",
                kind="power-failed",
                expected=f"outlet {self._config.index} of a {self._config.model} to switch",
                seen=f"{type(error).__name__}: {error}"[:300],
                hint="check its address, and that the bench's network reaches it",
            ) from error

    def set(self, state: PowerState) -> None:
        """Switch the outlet."""
        backend = self._backend()
        self._call(backend.power_set, self._config.host, self._config.port, self._config.index, state is PowerState.ON)

    def state(self) -> PowerState:
        """Read the outlet; `UNKNOWN` for models that cannot be read."""
        backend = self._backend()
        if not hasattr(backend, "power_get"):
            return PowerState.UNKNOWN
        try:
            on = self._call(backend.power_get, self._config.host, self._config.port, self._config.index)
        except BenchError as error:
            if isinstance(error.__cause__, NotImplementedError):
                return PowerState.UNKNOWN
            raise
        return PowerState.ON if on else PowerState.OFF
